"""How a process that was started early waits until what it needs is there.

`python -m ops up` starts the web server and the worker while it still migrates, so that they load meanwhile.
WORKUP_GO, in their environment, is the number of a pipe's reading end; the pipe closes when they may go on.
"""

import os
from collections.abc import MutableMapping

VARIABLE = "WORKUP_GO"


def wait(environment: MutableMapping[str, str] = os.environ) -> None:
    """Come back when the launcher says go, or at once if there is no launcher.

    Call it after the imports and before the first connection. The variable is taken away: a process that we start
    in turn does not have the pipe.
    """
    pipe = environment.pop(VARIABLE, None)
    if pipe is None:
        return
    with os.fdopen(int(pipe), "rb") as gate:
        gate.read()
