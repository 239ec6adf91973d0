"""Prefect's database: which runs are in it, and removing old ones.

Listing reads the database itself, which takes no time; removing is left to Prefect's own functions,
in a process of their own: `python -m flows.clean.history`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from flows.server import client_environment, log_file, prefect_home
from tasks.errors import StorageError
from tasks.settings import PROJECT_ROOT, Settings

SHORTEST_S = 3601.0  # Prefect removes nothing that ended within the hour
# As Prefect's own vacuum chooses them.
_FINISHED = (
    "SELECT name, state_name, end_time FROM flow_run WHERE parent_task_run_id IS NULL AND end_time"
    " IS NOT NULL AND state_type IN ('COMPLETED', 'CANCELLED', 'CRASHED', 'FAILED')"
    " ORDER BY end_time"
)


def database(settings: Settings) -> Path:
    return prefect_home(settings) / "prefect.db"


def finished_runs(settings: Settings) -> Iterator[tuple[str, float]]:
    """Yield what each finished run is called, and when it ended.

    Raises:
        StorageError: the database can't be read.
    """
    path = database(settings)
    if not path.is_file():
        return
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            rows = connection.execute(_FINISHED).fetchall()
    except sqlite3.Error as error:
        problem = f"can't be read ({error})"
        raise StorageError(
            str(path), problem, "Move it away: `lectern up` makes another"
        ) from error
    for name, state, ended in rows:
        moment = datetime.fromisoformat(ended).replace(tzinfo=UTC)
        yield f"run {name}, {state}, {moment:%Y-%m-%d %H:%M} UTC", moment.timestamp()


def database_bytes(settings: Settings) -> int:
    """Return what the database takes on the disk."""
    path = database(settings)
    parts = (path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm"))
    return sum(part.stat().st_size for part in parts if part.is_file())


def remove_runs(settings: Settings, older_than_s: float) -> int:
    """Remove the runs that ended so long ago, with their logs, artifacts and events.

    Returns:
        The bytes by which the database is smaller.

    Raises:
        StorageError: it failed; the message names the log.
    """
    seconds = int(max(older_than_s, SHORTEST_S))
    log, before = log_file(settings, "clean"), database_bytes(settings)
    own = {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(seconds),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{seconds}S",  # another type of Prefect's
    }
    with log.open("ab") as output:
        done = subprocess.run(
            [sys.executable, "-m", "flows.clean.history", str(database(settings).absolute())],
            cwd=PROJECT_ROOT, env={**os.environ, **client_environment(settings), **own},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        problem = "the old runs could not be removed"
        raise StorageError(str(database(settings)), problem, f"The log says why: {log}")
    return max(0, before - database_bytes(settings))


def main(path: str) -> None:
    """Remove what the environment says is old, and give the room back to the disk."""
    # Before there is an event loop: Prefect runs one of its own while it is imported.
    from prefect.server.database import provide_database_interface
    from prefect.server.services import db_vacuum

    async def vacuum() -> None:
        db = provide_database_interface()
        await db.create_db()  # it may be an older Prefect's
        await db_vacuum.vacuum_old_flow_runs(db=db)
        await db_vacuum.vacuum_orphaned_logs(db=db)
        await db_vacuum.vacuum_orphaned_artifacts(db=db)
        await db_vacuum.vacuum_stale_artifact_collections(db=db)
        await db_vacuum.vacuum_old_events(db=db)

    asyncio.run(vacuum())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")


if __name__ == "__main__":
    main(sys.argv[1])
