"""The command `lectern`, as the fixture of that name runs it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Lectern = Callable[..., subprocess.CompletedProcess[str]]
