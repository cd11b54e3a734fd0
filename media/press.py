"""How documents are made of what they say: by a process apart, because drawing a long one takes a second and more."""

from media.paper import Paper
from media.workshop import Benches

PRESSES = 1
"""Documents that a server draws at once: the others wait, and whoever asks for anything else does not notice."""

DRAWING_SECONDS = 40.0


class Press(Benches):
    """Draws documents, one after the other. What they say comes from people, and is drawn where it can break nothing.

    pdf = await press.draw(paper)
    """

    def __init__(self, presses: int = PRESSES) -> None:
        super().__init__(presses, "media.printer")

    async def draw(self, paper: Paper) -> bytes:
        """Make a PDF of it; `Busy` if there is too much to do."""
        async with self.bench() as bench:
            answer = await bench.work(paper.written(), DRAWING_SECONDS)
        (drawn,) = answer.drawn
        return drawn.body
