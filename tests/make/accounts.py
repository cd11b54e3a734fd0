"""People."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from models.accounts import Account, ClientProfile, FreelancerProfile, Role
from ops.app import wall_clock

NUMBERS = count()


def account(*roles: Role, name: str = "Ada", **values: Any) -> Account:
    usual: dict[str, Any] = {
        "email": f"{name.lower()}{next(NUMBERS)}@example.org",
        "password_hash": "$argon2id$none",
        "full_name": name,
        "roles": sorted(role.value for role in roles or (Role.CLIENT,)),
        "created_at": wall_clock(),
    }
    return Account(**usual | values)


def client(name: str = "Clara") -> Account:
    return account(Role.CLIENT, name=name)


def freelancer(name: str = "Fritz") -> Account:
    return account(Role.FREELANCER, name=name)


def admin(name: str = "Root") -> Account:
    return account(Role.ADMIN, name=name)


@dataclass
class People:
    """Everybody a rule may be about."""

    client: Account
    freelancer: Account
    other_client: Account
    other_freelancer: Account
    admin: Account


async def people(keep: Any) -> People:
    found = People(client(), freelancer(), client("Cora"), freelancer("Fanny"), admin())
    await keep(*vars(found).values(), *(profile for one in vars(found).values() for profile in profiles(one)))
    return found


def profiles(one: Account) -> list[ClientProfile | FreelancerProfile]:
    """What people show of themselves, by their roles."""
    made: list[ClientProfile | FreelancerProfile] = []
    if one.has(Role.CLIENT):
        made.append(ClientProfile.open(one, at=one.created_at))
    if one.has(Role.FREELANCER):
        made.append(FreelancerProfile.open(one, at=one.created_at))
    return made
