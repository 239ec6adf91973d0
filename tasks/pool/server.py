"""The pool's front process. `python -m tasks.pool.server`

Owns the process's life: one for a home folder, gone after pool_idle_s without requests, on
SIGTERM and on Ctrl-C. The routes are in tasks.pool.front.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.pool.lifecycle import FOREVER, PoolFiles, hold_lock
from tasks.pool.supervisor import Supervisor
from tasks.settings import Settings, settings

if TYPE_CHECKING:
    from tasks.pool.guard import Activity

log = logging.getLogger(__name__)


async def serve(config: Settings, files: PoolFiles) -> None:
    """Serve until a signal comes, or nobody has asked for pool_idle_s."""
    supervisor = Supervisor(config.pool_queue_max, n_workers=config.pool_n_workers)
    await supervisor.start()
    # Only now: the first worker imports what it needs meanwhile.
    from tasks.pool.app import make_server
    from tasks.pool.front import Front
    from tasks.pool.guard import Activity
    from tasks.pool.idle_tuning import IdleTuning

    key, activity = files.read_key(), Activity()
    server = make_server(Front(config, key, supervisor), key, activity)

    def end() -> None:
        supervisor.refuse_all("shutting_down", "the pool is stopping")
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    watch = asyncio.create_task(_end_when_idle(config.pool_idle_s, activity, supervisor, end))
    tuning = asyncio.create_task(IdleTuning(config, activity, supervisor).run())
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    files.write_state(url, config)
    log.info("serving at %s", url)
    try:
        await server.serve(sockets=[listener])
    finally:
        files.remove_state()
        watch.cancel()
        tuning.cancel()
        await supervisor.stop()


async def _end_when_idle(
    idle_s: float, activity: Activity, supervisor: Supervisor, end: Callable[[], None]
) -> None:
    """Call end() when the pool is no longer used, or can no longer be."""
    assert supervisor.task is not None
    while activity.idle_s < idle_s and not supervisor.task.done():
        await asyncio.wait({supervisor.task}, timeout=max(0.05, idle_s - activity.idle_s))
    if supervisor.task.done():
        log.error("the supervisor failed", exc_info=supervisor.task.exception())
    end()


def main(*, wait: bool = False) -> int:
    """Run the pool in the foreground.

    Args:
        wait: for as long as another pool has this home; else the answer is then 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # until serve() has its own
    config = settings()
    files = PoolFiles(config.home)
    files.prepare()
    lock = hold_lock(files, FOREVER) if wait else hold_lock(files)
    if lock is None:
        print(f"Another pool runs with {files.home}; see `lectern pool status`.", file=sys.stderr)
        return 1
    asyncio.run(serve(config, files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
