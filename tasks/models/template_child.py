"""The child process that renders a chat template: `python -m tasks.models.template_child`

A template is a program from a stranger, and may be harmless until it sees a certain text. So
whatever it does, it does here, where memory and time have limits. Reads a greeting (the template
and its special tokens), then a request a line, and answers each, until stdin ends.
"""

from __future__ import annotations

import json
import resource
import sys

from tasks.errors import ModelError
from tasks.models.limits import TEMPLATE_SECONDS, bounded, lower
from tasks.models.template import JinjaRenderer

MEMORY_BYTES = 512 * 2**20


def main() -> None:
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_DATA, MEMORY_BYTES)
    greeting = json.loads(sys.stdin.buffer.readline())
    render: JinjaRenderer | None = None
    for line in sys.stdin.buffer:
        try:
            with bounded(TEMPLATE_SECONDS):
                render = render or JinjaRenderer(**greeting)
                answer = {"text": render(**json.loads(line))}
        except ModelError as error:
            answer = {"problem": error.problem}
        except MemoryError:
            answer = {"problem": "its chat template needs more memory than it may have"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
