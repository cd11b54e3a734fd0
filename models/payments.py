"""What the marketplace charges: tariffs with the day from which they hold."""

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Identified, named
from models.money import BPS


class TariffKind(enum.Enum):
    """Who pays a fee."""

    FREELANCER_FEE = "FREELANCER_FEE"
    CLIENT_FEE = "CLIENT_FEE"


class Tariff(Identified):
    """A fee, in basis points of the amount, from a moment on until a later tariff of its kind."""

    __tablename__ = "tariffs"
    __table_args__ = (
        UniqueConstraint("kind", "effective_at"),
        CheckConstraint(f"bps between 0 and {BPS}", name="bps_within_whole"),
    )

    kind: Mapped[TariffKind] = mapped_column(named(TariffKind))
    bps: Mapped[int]
    effective_at: Mapped[datetime]
