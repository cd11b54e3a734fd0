"""Files."""

from models.accounts import Account
from models.config import Config
from models.media import Stored, Upload, UploadGroup, UploadState, UploadWords, Usage
from ops.app import wall_clock


def upload(
    by: Account, group: UploadGroup = UploadGroup.ATTACHMENTS, state: UploadState = UploadState.ARRIVED
) -> Upload:
    """A file in some state; there are no bytes behind it."""
    now = wall_clock()
    made = Upload.request(by, UploadWords(group, f"file{group.suffix}", 1_000), Usage(0, 0), at=now, config=Config())
    if state is UploadState.REQUESTED:
        return made
    assert made.stored_name is not None
    until = made.take(at=now, config=Config())
    made.arrive(until, Stored(made.stored_name, 1_000, "application/pdf", "0" * 64), at=now, config=Config())
    if state is UploadState.KEPT:
        made.keep(by, group, at=now)
    return made
