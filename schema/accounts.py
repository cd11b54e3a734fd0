"""What is said of people: who signs in, and what clients and freelancers show of themselves."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

import loaders.accounts
import loaders.media
import models.accounts
import resolvers.accounts
from models.accounts import ClientWords, FreelancerWords, ItemKind, ItemWords, Role
from models.errors import Checks
from schema.edges import (
    Connection,
    Info,
    Node,
    column,
    computed,
    found,
    many,
    one,
    page,
    priced,
    shown,
    shows,
)
from schema.errors import Refused
from schema.media import Upload
from schema.scalars import Money, MoneyInput, described, key_of

described(
    Role,
    "What an account may be; it may be several.",
    CLIENT="Posts jobs and hires.",
    FREELANCER="Makes proposals and works.",
    ADMIN="Keeps the place in order; appointed by its operator.",
)
described(
    ItemKind,
    "The lists on a freelancer's profile.",
    EDUCATION="Schools, degrees and courses.",
    EXPERIENCE="Positions held.",
    ACHIEVEMENT="Prizes, certificates and other things to be proud of.",
)


@strawberry.type(description="What everybody may see of a client.")
class Client(Node):
    is_type_of = shows(models.accounts.ClientProfile, loaders.accounts.client)

    company_name: str = column("The company, or the person's own name.")
    industry: str | None = column("What the company does.")
    city: str | None = column("Where it is.")
    description: str | None = column("What it says of itself.")
    employee_count: int | None = column("How many people work there.")
    photo: Upload | None = one("A picture.", loaders.media.by_id, "photo_id")
    joined_at: datetime = column("Since when it is a client here.")
    version: int = column("Counts the edits; send it with the next one, so as not to overwrite somebody else's.")


@strawberry.type(description="A degree, a position or an achievement on a freelancer's profile.")
class ProfileItem(Node):
    is_type_of = shows(models.accounts.ProfileItem, loaders.accounts.item)

    kind: ItemKind = column("Which list it is on.")
    title: str = column("The degree, the position, or what was achieved.")
    organization: str | None = column("The school, the employer, or who gave the prize.")
    description: str | None = column("More about it.")
    starts_on: date | None = column("The first day.")
    ends_on: date | None = column("The last day; none while it goes on.")


@strawberry.type(description="What everybody may see of a freelancer.")
class Freelancer(Node):
    is_type_of = shows(models.accounts.FreelancerProfile, loaders.accounts.freelancer)

    full_name: str = column("The name.")
    title: str | None = column("The profession, in a few words.")
    city: str | None = column("Where she lives.")
    country: str | None = column("The country.")
    description: str | None = column("What she says of herself.")
    hourly_rate: Money | None = priced("What an hour of hers usually costs.", "hourly_rate_cents")
    languages: list[str] = column("The languages she works in; a set, whatever the case.")
    skills: list[str] = column("What she can do; a set, whatever the case.")
    photo: Upload | None = one("A picture.", loaders.media.by_id, "photo_id")
    resume: Upload | None = one(
        "Her resume, for herself and for clients whose jobs she has a proposal on.", loaders.media.by_id, "resume_id"
    )
    items: list[ProfileItem] = many(
        "Education, experience and achievements.", loaders.accounts.items, at_most=models.accounts.ITEMS_MAX
    )
    joined_at: datetime = column("Since when she is a freelancer here.")
    version: int = column("Counts the edits; send it with the next one, so as not to overwrite somebody else's.")


@strawberry.type(description="A sign-in on some device.")
class Session(Node):
    is_type_of = shows(models.accounts.Session, loaders.accounts.own_session)

    address: str = column("The network address it was begun from.")
    agent: str = column("The program it was begun with.")
    created_at: datetime = column("When it was begun.")
    refreshed_at: datetime = column("When it was last used to get new tokens.")
    expires_at: datetime = column("When it ends unless it is used again.")
    ended_at: datetime | None = column("When it ended.")

    @computed("Whether it is the one this request was made with.", loaders.accounts.is_current)
    def is_current(root: Any, info: Info) -> bool:
        current: bool = root.id == info.context.session_id
        return current


@strawberry.type(description="A person who can sign in, as she sees herself; nobody else does, but administrators.")
class Account(Node):
    is_type_of = shows(models.accounts.Account, loaders.accounts.account)

    email: str = column("The address to sign in with.")
    full_name: str = column("The name given when registering.")
    roles: list[Role] = column("What the account may be here.")
    created_at: datetime = column("When it was registered.")
    suspended_at: datetime | None = column("Since when it is shut out, if it is.")

    @computed("The birth date; it is shown here, to the owner, and to nobody else.", loaders.accounts.birth_date)
    async def birth_date(root: Any, info: Info) -> date | None:
        viewer = info.context.viewer
        # Nobody is signed in yet when a sign-in answers with the account; whoever else sees one is not its owner.
        if viewer is not None and viewer.id != root.id:
            return None
        profile = await info.context.loaders.one(loaders.accounts.freelancer, root.id)
        return profile.birth_date if profile else None

    client: Client | None = one("What others see of the account as a client.", loaders.accounts.client, "id")
    freelancer: Freelancer | None = one(
        "What others see of the account as a freelancer.", loaders.accounts.freelancer, "id"
    )


@strawberry.type(description="A session and the tokens that go with it.")
class SignedIn:
    account: Account = strawberry.field(description="Who is signed in.")
    session: Session = strawberry.field(description="The session.")
    access_token: str = strawberry.field(description="Send it as `Authorization: Bearer …`.")
    access_seconds: int = strawberry.field(description="How long the access token is good for.")
    refresh_token: str = strawberry.field(
        description="Trade it for new tokens before the session expires. It is shown this once and works once; "
        "trading it a second time ends the session."
    )

    @staticmethod
    def is_type_of(row: Any, _info: Any) -> bool:
        return isinstance(row, resolvers.accounts.SignedIn)


RegisterResult = Annotated[
    SignedIn | Refused, strawberry.union("RegisterResult", description="A session with its tokens, or why not.")
]
SignInResult = Annotated[
    SignedIn | Refused, strawberry.union("SignInResult", description="A session with its tokens, or why not.")
]
RefreshResult = Annotated[
    SignedIn | Refused, strawberry.union("RefreshResult", description="A session with its tokens, or why not.")
]
SignOutResult = Annotated[
    Session | Refused, strawberry.union("SignOutResult", description="The session as it is now, or why not.")
]
SignOutEverywhereResult = Annotated[
    Account | Refused, strawberry.union("SignOutEverywhereResult", description="The account as it is now, or why not.")
]
ChangePasswordResult = Annotated[
    SignedIn | Refused, strawberry.union("ChangePasswordResult", description="A session with its tokens, or why not.")
]
AddRoleResult = Annotated[
    Account | Refused, strawberry.union("AddRoleResult", description="The account as it is now, or why not.")
]
EditClientResult = Annotated[
    Client | Refused, strawberry.union("EditClientResult", description="The profile as it is now, or why not.")
]
EditFreelancerResult = Annotated[
    Freelancer | Refused, strawberry.union("EditFreelancerResult", description="The profile as it is now, or why not.")
]
SetClientPhotoResult = Annotated[
    Client | Refused, strawberry.union("SetClientPhotoResult", description="The profile as it is now, or why not.")
]
SetFreelancerPhotoResult = Annotated[
    Freelancer | Refused,
    strawberry.union("SetFreelancerPhotoResult", description="The profile as it is now, or why not."),
]
SetResumeResult = Annotated[
    Freelancer | Refused, strawberry.union("SetResumeResult", description="The profile as it is now, or why not.")
]
AddProfileItemResult = Annotated[
    ProfileItem | Refused, strawberry.union("AddProfileItemResult", description="The item as it is now, or why not.")
]
EditProfileItemResult = Annotated[
    ProfileItem | Refused, strawberry.union("EditProfileItemResult", description="The item as it is now, or why not.")
]
RemoveProfileItemResult = Annotated[
    Freelancer | Refused,
    strawberry.union("RemoveProfileItemResult", description="The profile as it is now, or why not."),
]
SuspendAccountResult = Annotated[
    Account | Refused, strawberry.union("SuspendAccountResult", description="The account as it is now, or why not.")
]
ReinstateAccountResult = Annotated[
    Account | Refused, strawberry.union("ReinstateAccountResult", description="The account as it is now, or why not.")
]


@strawberry.input(description="Who wants to join.")
class RegisterInput:
    email: str = strawberry.field(description="The address to sign in with; its case does not matter.")
    password: str = strawberry.field(description="10 to 1000 characters.")
    full_name: str = strawberry.field(description="1 to 120 characters.")
    roles: list[Role] = strawberry.field(description="CLIENT, FREELANCER or both.")


@strawberry.input(description="Who wants to sign in.")
class SignInInput:
    email: str = strawberry.field(description="The address; its case does not matter.")
    password: str = strawberry.field(description="The password.")


@strawberry.input(description="A session to go on with.")
class RefreshInput:
    refresh_token: str = strawberry.field(description="The one that was handed out last.")


@strawberry.input(description="A session to end.")
class SignOutInput:
    session_id: strawberry.ID | None = strawberry.field(
        default=None, description="One of your sessions; the one you are in if not said."
    )


@strawberry.input(description="A new password.")
class ChangePasswordInput:
    current_password: str = strawberry.field(description="The one that is valid now.")
    new_password: str = strawberry.field(description="10 to 1000 characters.")


@strawberry.input(description="A role to take on.")
class AddRoleInput:
    role: Role = strawberry.field(description="CLIENT or FREELANCER.")


@strawberry.input(description="An account to shut out.")
class SuspendAccountInput:
    account_id: strawberry.ID = strawberry.field(description="The account.")


@strawberry.input(description="An account to let in again.")
class ReinstateAccountInput:
    account_id: strawberry.ID = strawberry.field(description="The account.")


@strawberry.input(description="Everything a client says of itself; what is left out is emptied.")
class EditClientInput:
    company_name: str = strawberry.field(description="1 to 120 characters.")
    industry: str | None = strawberry.field(default=None, description="Up to 200 characters.")
    city: str | None = strawberry.field(default=None, description="Up to 200 characters.")
    description: str | None = strawberry.field(default=None, description="Up to 5000 characters.")
    employee_count: int | None = strawberry.field(default=None, description="1 or more.")
    version: int | None = strawberry.field(
        default=None, description="The version you read; the edit is refused as STALE if there is a newer one."
    )


@strawberry.input(description="Everything a freelancer says of herself; what is left out is emptied.")
class EditFreelancerInput:
    full_name: str = strawberry.field(description="1 to 120 characters.")
    title: str | None = strawberry.field(default=None, description="Up to 200 characters.")
    city: str | None = strawberry.field(default=None, description="Up to 200 characters.")
    country: str | None = strawberry.field(default=None, description="Up to 200 characters.")
    description: str | None = strawberry.field(default=None, description="Up to 5000 characters.")
    hourly_rate: MoneyInput | None = strawberry.field(default=None, description="What an hour usually costs.")
    birth_date: date | None = strawberry.field(default=None, description="Shown to nobody else.")
    languages: list[str] = strawberry.field(default_factory=list, description="Up to 50, each up to 60 characters.")
    skills: list[str] = strawberry.field(default_factory=list, description="Up to 50, each up to 60 characters.")
    version: int | None = strawberry.field(
        default=None, description="The version you read; the edit is refused as STALE if there is a newer one."
    )

    def words(self) -> FreelancerWords:
        """Read the input as the house speaks."""
        said = {name: value for name, value in vars(self).items() if name not in {"hourly_rate", "version"}}
        check = Checks()
        cents = self.hourly_rate.cents(check, "hourly_rate", "amount") if self.hourly_rate else None
        return FreelancerWords(**said, hourly_rate_cents=cents, misread=check.problems)


@strawberry.input(description="A picture of oneself as a client.")
class SetClientPhotoInput:
    upload_id: strawberry.ID | None = strawberry.field(
        default=None, description="A photo of yours that has arrived; none takes the picture away."
    )


@strawberry.input(description="A picture of oneself as a freelancer.")
class SetFreelancerPhotoInput:
    upload_id: strawberry.ID | None = strawberry.field(
        default=None, description="A photo of yours that has arrived; none takes the picture away."
    )


@strawberry.input(description="A resume.")
class SetResumeInput:
    upload_id: strawberry.ID | None = strawberry.field(
        default=None, description="A resume of yours that has arrived; none takes it away."
    )


@strawberry.input(description="Something to put on one's profile.")
class AddProfileItemInput:
    kind: ItemKind = strawberry.field(description="Which list to put it on.")
    title: str = strawberry.field(description="1 to 200 characters.")
    organization: str | None = strawberry.field(default=None, description="Up to 200 characters.")
    description: str | None = strawberry.field(default=None, description="Up to 5000 characters.")
    starts_on: date | None = strawberry.field(default=None, description="The first day.")
    ends_on: date | None = strawberry.field(default=None, description="The last day, not before the first.")


@strawberry.input(description="Everything an item of one's profile says; what is left out is emptied.")
class EditProfileItemInput:
    item_id: strawberry.ID = strawberry.field(description="The item.")
    title: str = strawberry.field(description="1 to 200 characters.")
    organization: str | None = strawberry.field(default=None, description="Up to 200 characters.")
    description: str | None = strawberry.field(default=None, description="Up to 5000 characters.")
    starts_on: date | None = strawberry.field(default=None, description="The first day.")
    ends_on: date | None = strawberry.field(default=None, description="The last day, not before the first.")


@strawberry.input(description="An item of one's profile.")
class RemoveProfileItemInput:
    item_id: strawberry.ID = strawberry.field(description="The item.")


def _upload_key(text: str | None) -> UUID | None:
    return key_of("upload", text, "upload_id") if text else None


def _words(input: object, *others: str) -> dict[str, Any]:
    """Everything an input says but what it says it about."""
    return {name: value for name, value in vars(input).items() if name not in others}


@strawberry.type
class AccountQueries:
    client: Client | None = found(
        "What everybody may see of a client; nothing if there is no such client.",
        loaders.accounts.client,
        "The client.",
    )
    freelancer: Freelancer | None = found(
        "What everybody may see of a freelancer; nothing if there is no such freelancer.",
        loaders.accounts.freelancer,
        "The freelancer.",
    )
    freelancers: Connection[Freelancer] = page("All freelancers, the newest first.", loaders.accounts.freelancers, None)


@strawberry.type
class AccountMutations:
    @strawberry.mutation(description="Become a client, a freelancer or both, and be signed in.")
    async def register(self, info: Info, input: RegisterInput) -> RegisterResult:
        return shown(await resolvers.accounts.register(info.context, **vars(input)))

    @strawberry.mutation(description="Sign in. Every failure sounds the same: SIGN_IN_FAILED.")
    async def sign_in(self, info: Info, input: SignInInput) -> SignInResult:
        return shown(await resolvers.accounts.sign_in(info.context, **vars(input)))

    @strawberry.mutation(description="Trade a refresh token for new tokens.")
    async def refresh(self, info: Info, input: RefreshInput) -> RefreshResult:
        return shown(await resolvers.accounts.refresh(info.context, **vars(input)))

    @strawberry.mutation(description="End the session you are in, or another of yours.")
    async def sign_out(self, info: Info, input: SignOutInput) -> SignOutResult:
        wanted = key_of("session", input.session_id, "session_id") if input.session_id else None
        return shown(await resolvers.accounts.sign_out(info.context, session_id=wanted))

    @strawberry.mutation(description="End all of your sessions, this one too.")
    async def sign_out_everywhere(self, info: Info) -> SignOutEverywhereResult:
        return shown(await resolvers.accounts.sign_out_everywhere(info.context))

    @strawberry.mutation(description="Change the password. It ends all sessions and begins a new one.")
    async def change_password(self, info: Info, input: ChangePasswordInput) -> ChangePasswordResult:
        return shown(await resolvers.accounts.change_password(info.context, **vars(input)))

    @strawberry.mutation(description="Become a client or a freelancer too.")
    async def add_role(self, info: Info, input: AddRoleInput) -> AddRoleResult:
        return shown(await resolvers.accounts.add_role(info.context, role=input.role))

    @strawberry.mutation(description="Say who you are as a client.")
    async def edit_client(self, info: Info, input: EditClientInput) -> EditClientResult:
        words = ClientWords(**_words(input, "version"))
        return shown(await resolvers.accounts.edit_client(info.context, words=words, version=input.version))

    @strawberry.mutation(description="Say who you are as a freelancer.")
    async def edit_freelancer(self, info: Info, input: EditFreelancerInput) -> EditFreelancerResult:
        words = input.words()
        return shown(await resolvers.accounts.edit_freelancer(info.context, words=words, version=input.version))

    @strawberry.mutation(description="Show another photo of yourself as a client, or none.")
    async def set_client_photo(self, info: Info, input: SetClientPhotoInput) -> SetClientPhotoResult:
        upload_id = _upload_key(input.upload_id)
        return shown(await resolvers.accounts.set_client_photo(info.context, upload_id=upload_id))

    @strawberry.mutation(description="Show another photo of yourself as a freelancer, or none.")
    async def set_freelancer_photo(self, info: Info, input: SetFreelancerPhotoInput) -> SetFreelancerPhotoResult:
        upload_id = _upload_key(input.upload_id)
        return shown(await resolvers.accounts.set_freelancer_photo(info.context, upload_id=upload_id))

    @strawberry.mutation(description="Have another resume, or none. Clients you have a proposal with may read it.")
    async def set_resume(self, info: Info, input: SetResumeInput) -> SetResumeResult:
        return shown(await resolvers.accounts.set_resume(info.context, upload_id=_upload_key(input.upload_id)))

    @strawberry.mutation(description="Put a degree, a position or an achievement on your profile.")
    async def add_profile_item(self, info: Info, input: AddProfileItemInput) -> AddProfileItemResult:
        words = ItemWords(**_words(input, "kind"))
        return shown(await resolvers.accounts.add_item(info.context, kind=input.kind, words=words))

    @strawberry.mutation(description="Say an item of your profile anew.")
    async def edit_profile_item(self, info: Info, input: EditProfileItemInput) -> EditProfileItemResult:
        item_id = key_of("item", input.item_id, "item_id")
        words = ItemWords(**_words(input, "item_id"))
        return shown(await resolvers.accounts.edit_item(info.context, item_id=item_id, words=words))

    @strawberry.mutation(description="Take an item off your profile.")
    async def remove_profile_item(self, info: Info, input: RemoveProfileItemInput) -> RemoveProfileItemResult:
        item_id = key_of("item", input.item_id, "item_id")
        return shown(await resolvers.accounts.remove_item(info.context, item_id=item_id))

    @strawberry.mutation(description="Administrators: shut an account out, and end its sessions.")
    async def suspend_account(self, info: Info, input: SuspendAccountInput) -> SuspendAccountResult:
        account_id = key_of("account", input.account_id, "account_id")
        return shown(await resolvers.accounts.suspend(info.context, account_id=account_id))

    @strawberry.mutation(description="Administrators: let an account in again.")
    async def reinstate_account(self, info: Info, input: ReinstateAccountInput) -> ReinstateAccountResult:
        account_id = key_of("account", input.account_id, "account_id")
        return shown(await resolvers.accounts.reinstate(info.context, account_id=account_id))
