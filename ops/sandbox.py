"""A payment provider that moves no money: for development, demonstrations and tests.

It remembers nothing: what it says of an order follows from the order alone, and from the time. So every process of
the house, and every start of it, hears the same, as from a provider who keeps his books; and an order submitted twice
is one order. An order can say by its `method` what is to become of it; all others do as the setting says.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import httpx
import orjson
import structlog

from models.transfers import UNKNOWN, Answer, Order, Outcome
from ops.clock import HouseClock
from ops.payments import SIGNATURE, Clock, News, signed
from ops.settings import BEHAVIOURS, Settings

log = structlog.get_logger(__name__)

PREFIX = "sandbox-"
"""Begins the methods that say what is to become of an order: `sandbox-fail`, and so on."""

RETRIES_SECONDS = (0.0, 1.0, 5.0)
"""Waits before a webhook is sent, and sent again when nobody took it."""

PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Story:
    """What becomes of an order: what is said at first, what is said in the end, and which webhooks tell of it."""

    first: Outcome
    last: Outcome
    told: tuple[Outcome, ...] = ()


STORIES = {
    "succeed": Story(Outcome.SUCCEEDED, Outcome.SUCCEEDED),
    "fail": Story(Outcome.FAILED, Outcome.FAILED),
    "delay": Story(Outcome.PENDING, Outcome.SUCCEEDED, (Outcome.SUCCEEDED,)),
    "delayed-failure": Story(Outcome.PENDING, Outcome.FAILED, (Outcome.FAILED,)),
    # Nobody hears that it was done, until somebody asks.
    "time-out": Story(Outcome.UNKNOWN, Outcome.SUCCEEDED),
    # The end twice, and then the beginning.
    "repeat": Story(Outcome.PENDING, Outcome.SUCCEEDED, (Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.PENDING)),
}
assert tuple(STORIES) == BEHAVIOURS


class Sandbox:
    """The provider, and the webhooks that it still has to send."""

    def __init__(
        self, otherwise: str, delay: timedelta, clock: Clock, wall: Clock, webhook: str, secret: bytes
    ) -> None:
        self._otherwise, self._delay, self._clock, self._wall = STORIES[otherwise], delay, clock, wall
        self._webhook, self._secret = webhook, secret
        self._telling: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, settings: Settings, clock: HouseClock) -> "Sandbox":
        """The sandbox of these settings; its webhooks go to the server that listens here, unless they say where."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - it is the question
        webhook = settings.payments_webhook or f"http://{host}:{settings.port}/payments/webhook"
        delay = timedelta(seconds=settings.sandbox_seconds)
        return cls(settings.sandbox, delay, clock, clock.wall, webhook, settings.webhook_secret)

    async def submit(self, order: Order) -> Answer:
        """Take an order; whoever submits it again hears what has come of it."""
        story = self._story(order)
        if story.told and not self._is_over(order):
            self._tell_later(order, story)
        return self._said(order)

    async def ask(self, order: Order) -> Answer:
        """Say what has come of an order."""
        return self._said(order)

    async def close(self) -> None:
        """Tell nobody anything any more."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _story(self, order: Order) -> Story:
        return STORIES.get(order.method.removeprefix(PREFIX), self._otherwise)

    def _is_over(self, order: Order) -> bool:
        return self._clock() >= order.requested_at + self._delay

    def _said(self, order: Order) -> Answer:
        story = self._story(order)
        outcome = story.last if self._is_over(order) else story.first
        return UNKNOWN if outcome is Outcome.UNKNOWN else _answer(order, outcome)

    def _tell_later(self, order: Order, story: Story) -> None:
        task = asyncio.create_task(self._tell(order, story))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, order: Order, story: Story) -> None:
        await asyncio.sleep(self._delay.total_seconds())
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            for outcome in story.told:
                await self._send(client, News(order.id, _answer(order, outcome)))

    async def _send(self, client: httpx.AsyncClient, news: News) -> None:
        for seconds in RETRIES_SECONDS:
            await asyncio.sleep(seconds)
            body = orjson.dumps(news.written())
            headers = {"content-type": "application/json", SIGNATURE: signed(self._secret, body, at=self._wall())}
            try:
                answer = await client.post(self._webhook, content=body, headers=headers)
            except httpx.HTTPError as error:
                log.warning("webhook not sent", transfer=news.transfer_id.hex, error=repr(error))
                continue
            if answer.is_success:
                return
            log.warning("webhook not taken", transfer=news.transfer_id.hex, status=answer.status_code)


def _answer(order: Order, outcome: Outcome) -> Answer:
    reason = "The sandbox was told to decline this." if outcome is Outcome.FAILED else None
    return Answer(outcome, f"{PREFIX}{order.id.hex}", reason, order.money)
