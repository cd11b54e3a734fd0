"""What is said of files: asked leave for, brought, read and let go."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

import loaders.media
import models.media
import resolvers.media
from models.media import UploadAction, UploadGroup, UploadState, UploadWords
from schema.edges import Info, MadeOf, Node, actions, column, made, shown, shows
from schema.errors import Refused
from schema.scalars import described, key_of

described(
    UploadGroup,
    "What a file is for.",
    ICONS="Small signs in lists and menus: an image, kept 16 by 16. Brought by administrators and machines alone.",
    PHOTOS="Pictures of people and of their work: an image, kept in several sizes. Whoever has the address may see it.",
    RESUME="What a freelancer tells of her life: a PDF.",
    ATTACHMENTS="Papers that belong to a job, a proposal or a contract: a PDF.",
)
described(
    UploadState,
    "Where an upload is in its life.",
    REQUESTED="It was announced, and has not come yet.",
    ARRIVED="It is here, and goes in a day unless it is attached to something.",
    KEPT="It is attached to something.",
    SWEPT="It is gone: deleted, let go, not brought, or not attached in time.",
)
described(
    UploadAction,
    "What may be done with an upload.",
    ARRIVE="Put its bytes to the address of its ticket.",
    KEEP="Attach it to something.",
    DELETE="`deleteUpload`.",
)


class UploadVariant(Enum):
    """The forms in which a file can be read besides the one that is meant when none is named."""

    LARGE = "large"
    AVATAR = "avatar"
    ICON = "icon"
    PREVIEW = "preview"


described(
    UploadVariant,
    "The forms in which a file can be read.",
    LARGE="A photo, whole, within 512 by 512.",
    AVATAR="A photo, filling 128 by 128.",
    ICON="A photo or an icon, filling 16 by 16.",
    PREVIEW="The first page of a document as an image within 512 by 512; a placeholder if it could not be drawn.",
)

VariantArgument = Annotated[
    UploadVariant | None, strawberry.argument(description="Which form; the best there is if not said.")
]


OF_ADDRESS = ("group", "name", "state", "stored_name")
"""The columns of an upload that its address is made of."""


def _address(root: Any, info: Info) -> str | None:
    return resolvers.media.address(info.context, root)


ADDRESS = MadeOf(models.media.Upload, OF_ADDRESS, _address)
"""Where to read an upload in its best form."""


@strawberry.type(description="A file that somebody announced, or brought.")
class Upload(Node):
    is_type_of = shows(models.media.Upload, loaders.media.by_id)

    group: UploadGroup = column("What it is for.")
    name: str = column("What it was called where it came from.")
    state: UploadState = column("Where it is in its life.")
    size: int = column("Its bytes: as announced, and once it has arrived, as kept.")
    mime_type: str | None = column("What it was found to be, whatever it was said to be; nothing before it arrived.")
    sha256: str | None = column("The SHA-256 of its bytes, which is its ETag too; nothing before it arrived.")
    requested_at: datetime = column("When it was announced.")
    arrives_before: datetime = column("Until when it has to begin to arrive.")
    arrived_at: datetime | None = column("When it arrived.")
    kept_at: datetime | None = column("When it was attached to something.")
    swept_at: datetime | None = column("When it went.")

    @made(
        "Where to read it, relative to this server unless it has a host: for ever in a public group, "
        "for some minutes in a private one. Nothing before it arrived, after it went, or if it has no such form.",
        models.media.Upload,
        *OF_ADDRESS,
    )
    def url(root: Any, info: Info, variant: VariantArgument = None) -> str | None:
        return resolvers.media.address(info.context, root, variant.value if variant else None)

    @actions("What you may do with it now.", loaders.media.actions)
    def available_actions(root: Any, info: Info) -> list[UploadAction]:
        return root.actions_for(info.context.viewer)


@strawberry.type(description="A header of an HTTP request.")
class HttpHeader:
    name: str = strawberry.field(description="Its name.")
    value: str = strawberry.field(description="What to send.")


@strawberry.type(description="Leave to bring one file: send its bytes as the body of one HTTP request. It works once.")
class UploadTicket:
    upload: Upload = strawberry.field(description="The upload, to be attached to something when it has arrived.")
    url: str = strawberry.field(
        description="Where to send the bytes, relative to this server unless it has a host. Whoever has it may: "
        "keep it to yourself."
    )
    expires_at: datetime = strawberry.field(description="When it is too late to begin.")

    @strawberry.field(description="The method of the request.")
    def method(root: Any) -> str:
        return resolvers.media.METHOD

    @strawberry.field(description="What else to send with it.")
    def headers(root: Any) -> list[HttpHeader]:
        return [HttpHeader(name=name, value=value) for name, value in resolvers.media.HEADERS.items()]

    @staticmethod
    def is_type_of(row: Any, _info: Any) -> bool:
        return isinstance(row, resolvers.media.Ticket)


RequestUploadResult = Annotated[
    UploadTicket | Refused, strawberry.union("RequestUploadResult", description="Leave to bring it, or why not.")
]
DeleteUploadResult = Annotated[
    Upload | Refused, strawberry.union("DeleteUploadResult", description="The upload as it is now, or why not.")
]


@strawberry.input(description="A file you want to bring.")
class RequestUploadInput:
    group: UploadGroup = strawberry.field(description="What it is for.")
    name: str = strawberry.field(description="What it is called; 1 to 200 characters.")
    size: int = strawberry.field(description="Exactly how many bytes it has: images up to 20 MB, documents 300 MB.")


@strawberry.input(description="An upload to do without.")
class DeleteUploadInput:
    upload_id: strawberry.ID = strawberry.field(description="The upload; attached to nothing.")


@strawberry.type
class MediaMutations:
    @strawberry.mutation(description="Announce a file, and get an address to put its bytes to.")
    async def request_upload(self, info: Info, input: RequestUploadInput) -> RequestUploadResult:
        return shown(await resolvers.media.request(info.context, words=UploadWords(**vars(input))))

    @strawberry.mutation(description="Do without an upload of yours that is attached to nothing.")
    async def delete_upload(self, info: Info, input: DeleteUploadInput) -> DeleteUploadResult:
        upload_id = key_of("upload", input.upload_id, "upload_id")
        return shown(await resolvers.media.delete(info.context, upload_id=upload_id))
