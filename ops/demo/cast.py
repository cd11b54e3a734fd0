"""Who lives in the demo, as rows: accounts, what they show of themselves, and what they are in our stories."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from unicodedata import normalize

from models.accounts import (
    Account,
    ClientProfile,
    ClientWords,
    FreelancerProfile,
    FreelancerWords,
    ItemKind,
    ItemWords,
    ProfileItem,
    Role,
)
from ops.demo import PASSWORD, PEOPLE, people
from ops.demo.people import Company, Freelancer, Trade
from ops.demo.world import World

OLDEST_DAYS, OLD_DAYS = 420, 200
ASCII = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "đ": "d", "'": None})
"""Letters that do not come apart into a plain one and an accent."""


@dataclass(frozen=True, eq=False)
class Client:
    """Somebody who offers work."""

    account: Account
    company: Company


@dataclass(frozen=True, eq=False)
class Worker:
    """Somebody who offers to do it."""

    account: Account
    words: Freelancer
    trade: Trade
    rate_dollars: int
    years: int


@dataclass(frozen=True)
class Cast:
    """Everybody."""

    own: Client
    star: Worker
    admin: Account
    clients: list[Client]
    workers: list[Worker]

    @property
    def accounts(self) -> list[Account]:
        """Every account; some are a client's and a freelancer's at once."""
        clients = [client.account for client in (self.own, *self.clients)]
        return [self.admin, *clients, *(worker.account for worker in (self.star, *self.workers))]


def gather(world: World) -> Cast:
    """Register everybody."""
    casting = Casting(world)
    client_email, star_email, admin_email = PEOPLE
    admin = casting.register(admin_email, people.KEEPER, [Role.CLIENT], world.ago(OLDEST_DAYS))
    # Administrators are appointed; they do not have profiles.
    admin.roles = [Role.ADMIN.value]
    own = casting.client(client_email, people.OWN_COMPANY)
    star = casting.worker(star_email, people.STAR)
    clients = [casting.client(address(company.owner), company) for company in people.COMPANIES]
    workers = [casting.worker(address(words.name), words) for words in people.FREELANCERS]
    for company, words in people.BOTH:
        client, worker = casting.both(address(words.name), company, words)
        clients.append(client)
        workers.append(worker)
    return Cast(own, star, admin, clients, workers)


def address(name: str) -> str:
    """An email address from a name, in plain letters."""
    plain = normalize("NFKD", name.translate(ASCII)).encode("ascii", "ignore").decode()
    return f"{plain.lower().replace(' ', '.')}@demo.workup"


class Casting:
    """Makes accounts and profiles."""

    def __init__(self, world: World) -> None:
        self._world = world

    def client(self, email: str, company: Company) -> Client:
        """A client with a profile."""
        account = self.register(email, company.owner, [Role.CLIENT], self._joining())
        self._open_client(account, company)
        return Client(account, company)

    def worker(self, email: str, words: Freelancer) -> Worker:
        """A freelancer with a profile."""
        account = self.register(email, words.name, [Role.FREELANCER], self._joining())
        return self._open_worker(account, words)

    def both(self, email: str, company: Company, words: Freelancer) -> tuple[Client, Worker]:
        """Somebody who hires and works."""
        account = self.register(email, words.name, [Role.CLIENT, Role.FREELANCER], self._joining())
        self._open_client(account, company)
        return Client(account, company), self._open_worker(account, words)

    def register(self, email: str, name: str, roles: list[Role], at: datetime) -> Account:
        """An account; its password is hashed afterwards."""
        account = Account.register(email=email, password=PASSWORD, full_name=name, roles=roles, at=at)
        return self._world.keep(account, at)

    def _joining(self) -> datetime:
        """Everybody is here before the first job is, so that everybody may have done anything since."""
        return self._world.between(self._world.ago(OLDEST_DAYS), self._world.ago(OLD_DAYS))

    def _open_client(self, account: Account, company: Company) -> None:
        profile = ClientProfile.open(account, at=account.created_at)
        about = self._world.one(people.ABOUT_COMPANY).format(
            company=company.name, **company._asdict() | {"city": company.city.partition(",")[0]}
        )
        words = ClientWords(company.name, company.industry, company.city, about, company.people)
        profile.edit(words, profile.version)
        self._world.keep(profile, account.created_at)

    def _open_worker(self, account: Account, words: Freelancer) -> Worker:
        world, trade = self._world, people.TRADES[words.trade]
        born = date(world.chance.randint(world.now.year - 52, world.now.year - 25), 1, 1)
        worker = Worker(
            account=account,
            words=words,
            trade=trade,
            rate_dollars=world.chance.randint(*trade.rates),
            years=min(world.chance.randint(3, 18), world.now.year - born.year - 20),
        )
        profile = FreelancerProfile.open(account, at=account.created_at)
        profile.edit(self._said(worker, born), profile.version, at=account.created_at)
        world.keep(profile, account.created_at)
        self._put_items(worker, profile)
        return worker

    def _said(self, worker: Worker, born: date) -> FreelancerWords:
        world, words, trade = self._world, worker.words, worker.trade
        parts = (world.one(people.BIOS), world.one(people.HABITS), world.one(people.HOURS))
        few = max(worker.years // 3, 2)
        return FreelancerWords(
            full_name=words.name,
            title=world.one(trade.titles),
            city=words.city,
            country=words.country,
            description=" ".join(parts).format(craft=trade.craft, years=worker.years, few=few, city=words.city),
            hourly_rate_cents=worker.rate_dollars * 100,
            birth_date=born + timedelta(days=world.chance.randrange(365)),
            languages=words.languages,
            skills=world.some(trade.skills, world.chance.randint(3, len(trade.skills))),
        )

    def _put_items(self, worker: Worker, profile: FreelancerProfile) -> None:
        joined = worker.account.created_at
        for count, (kind, words) in enumerate([self._degree(worker), *self._career(worker), *self._glories(worker)]):
            item = ProfileItem.put(profile, kind, words, count=count)
            self._world.keep(item, joined + timedelta(minutes=2 + 3 * count))

    def _degree(self, worker: Worker) -> tuple[ItemKind, ItemWords]:
        ended = worker.account.created_at.year - worker.years
        school = self._world.one(people.SCHOOLS).format(city=worker.words.city)
        words = ItemWords(worker.trade.degree, school, None, date(ended - 4, 9, 1), date(ended, 6, 30))
        return ItemKind.EDUCATION, words

    def _career(self, worker: Worker) -> list[tuple[ItemKind, ItemWords]]:
        """Positions one after another, the newest first; the last of them ended when she became independent."""
        world, trade = self._world, worker.trade
        ends = worker.account.created_at.year - 1
        each = max((worker.years - 1) // len(trade.positions), 1)
        career = []
        for employer, position in zip(world.some(people.EMPLOYERS, len(trade.positions)), trade.positions, strict=True):
            duty = world.one(people.DUTIES).format(craft=trade.craft, skill=world.one(trade.skills))
            words = ItemWords(position, employer, duty, date(ends - each, 3, 1), date(ends, 2, 28))
            career.append((ItemKind.EXPERIENCE, words))
            ends -= each
        return career

    def _glories(self, worker: Worker) -> list[tuple[ItemKind, ItemWords]]:
        world, trade = self._world, worker.trade
        glories = []
        for title, story in world.some(people.ACHIEVEMENTS, world.chance.randint(0, 2)):
            won = date(worker.account.created_at.year - world.chance.randint(1, 3), world.chance.randint(1, 12), 15)
            said = title.format(skill=world.one(trade.skills), craft=trade.craft)
            glories.append((ItemKind.ACHIEVEMENT, ItemWords(said, None, story, won, won)))
        return glories
