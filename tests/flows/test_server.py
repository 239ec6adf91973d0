"""Prefect's server as we run it: closed to others, found when it should be, never left behind."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import httpx
import psutil
import pytest
from filelock import FileLock

from flows.server import (
    RunningServer,
    ServerAddress,
    check_server,
    configured_server,
    drop_damaged,
    known_server,
    listen,
    new_auth,
    prefect_home,
    read_connection,
    remove_connection,
    server_left,
    start_server,
    write_connection,
)
from flows.up import deploy, kept_auth, stop_runs
from tasks.errors import PipelineError
from tasks.files import make_folder, write_private
from tasks.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.slow


def test_the_api_wants_the_password(prefect_server: RunningServer) -> None:
    """Without it, or with a wrong one, nothing can be read."""
    url = f"{prefect_server.address.url}/admin/version"
    user, password = prefect_server.address.auth.split(":")

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=(user, "wrong")).status_code == 401
    assert httpx.get(url, auth=(user, password)).status_code == 200


def test_other_web_pages_cannot_use_it(prefect_server: RunningServer) -> None:
    """No other origin is let in, and changes want a CSRF token."""
    url = f"{prefect_server.address.url}/flows/filter"
    user, password = prefect_server.address.auth.split(":")
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}

    preflight = httpx.options(url, headers=asked)
    assert "access-control-allow-origin" not in preflight.headers
    assert httpx.post(url, json={}, auth=(user, password)).status_code == 403


def test_its_pages_ask_no_analytics_service(prefect_server: RunningServer) -> None:
    """Prefect's new UI does, so the other one is what a browser gets."""
    user, password = prefect_server.address.auth.split(":")
    settings = httpx.get(f"{prefect_server.address.ui}/ui-settings", auth=(user, password)).json()
    page = httpx.get(f"{prefect_server.address.ui}/", headers={"Accept": "text/html"})

    assert settings["default_ui"] == "v1"
    scripts = re.findall(r'src="([^"]+\.js)"', page.text)
    assert scripts
    for script in scripts:
        assert "amplitude.com" not in httpx.get(f"{prefect_server.address.ui}{script}").text


def test_it_listens_on_this_machine_alone(prefect_server: RunningServer) -> None:
    """Every listening socket of the server is a loopback one."""
    process = psutil.Process(prefect_server.process.pid)
    listening = [each.laddr.ip for each in process.net_connections() if each.status == "LISTEN"]

    assert set(listening) == {"127.0.0.1"}


def test_its_telemetry_is_off(prefect_server: RunningServer) -> None:
    """Neither the server nor its pages report to anyone."""
    environment = psutil.Process(prefect_server.process.pid).environ()

    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"


def test_a_configured_server_is_checked(prefect_server: RunningServer) -> None:
    """It is used if it answers; a refused password and a silent address are told in a line."""
    address = prefect_server.address
    assert configured_server(address.environment()) == address

    with pytest.raises(PipelineError, match="refuses the password"):
        configured_server({"PREFECT_API_URL": address.url, "PREFECT_API_AUTH_STRING": "a:b"})
    with listen() as unused:
        port = unused.getsockname()[1]
    with pytest.raises(PipelineError, match="does not answer") as caught:
        check_server(ServerAddress(f"http://127.0.0.1:{port}/api"))
    assert "\n" not in str(caught.value)
    with pytest.raises(PipelineError, match="no Prefect API there"):
        check_server(ServerAddress(address.ui))


def test_deploying_ends_though_the_server_does_not_answer(config: Settings) -> None:
    """With a line that names the log, and without the child."""
    before = psutil.Process().children()
    with listen() as silent:
        port = silent.getsockname()[1]
        silence = ServerAddress(f"http://127.0.0.1:{port}/api").environment()
        with pytest.raises(PipelineError, match=r"not deployed within .* log says why"):
            deploy(config, silence, patience_s=1)

    assert set(psutil.Process().children()) <= set(before)


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """kill -9 of a command leaves no server behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", (
            "from pathlib import Path; from flows.server import start_child; import time;"
            f"print(start_child(['http.server', '0'], {{}}, Path({str(tmp_path / 'log')!r})).pid,"
            "flush=True); time.sleep(60)"
        )],
        cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.3)  # let it begin to look
    parent.kill()
    parent.wait()

    assert psutil.wait_procs([child], timeout=60)[1] == []


def test_a_killed_run_does_not_stay_running(
    prefect_server: RunningServer, tiny_model: Path, config: Settings
) -> None:
    """kill -9 leaves a run that nobody ends; the next server of ours marks it, and no other."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort
    from support.scripted_server import ScriptedServer

    from flows.killed import mark_killed_runs

    def states() -> list[str]:
        with get_client(sync_client=True) as client:
            newest = FlowRunSort.EXPECTED_START_TIME_DESC
            return [str(run.state_type) for run in client.read_flow_runs(sort=newest)]

    with ScriptedServer(delay_s=30) as server:
        own = {"LECTERN_POOL_URL": server.url, "LECTERN_MODEL": str(tiny_model)}
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "summarize", "data/samples/two-columns-en.pdf"],
            cwd=PROJECT_ROOT, env={**os.environ, **own},
        )  # fmt: skip
        while not (config.results / "segments").exists() and process.poll() is None:
            time.sleep(0.05)
        mark_killed_runs()
        before = states()
        process.kill()
        process.wait()
        mark_killed_runs()

    running, crashed = str(StateType.RUNNING), str(StateType.CRASHED)
    assert (before[0], states()) == (running, [crashed, *before[1:]])


def test_a_run_that_was_killed_before_it_ran_is_marked(
    prefect_server: RunningServer, config: Settings
) -> None:
    """It is of its process from its creation, not from when it says that it runs."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType

    from flows.killed import mark_killed_runs

    program = (
        "import time\nfrom flows.killed import begun\n"
        "from flows.summarize_pdf import summarize_pdf\n"
        "print(begun(summarize_pdf, {'sources': ['a.pdf']}).id, flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    run = UUID(process.stdout.readline().strip())

    def state() -> StateType | None:
        mark_killed_runs()
        with get_client(sync_client=True) as client:
            return client.read_flow_run(run).state_type

    before = state()
    process.kill()
    process.communicate()

    assert (before, state()) == (StateType.PENDING, StateType.CRASHED)


def test_only_a_server_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    """One that is too busy to answer keeps its file: nobody would write it again."""
    path = tmp_path / "prefect.toml"
    with listen() as busy:
        url = f"http://127.0.0.1:{busy.getsockname()[1]}/api"
        write_connection(ServerAddress(url, "a:b"), path)
        assert server_left(path, 0.2) is None
        assert path.exists()

    assert server_left(path, 0.2) is None
    assert not path.exists()


def test_the_connection_file_is_private_and_goes(tmp_path: Path) -> None:
    """What a second shell reads can be read by its owner only, and is removed by its writer."""
    path = tmp_path / "prefect.toml"
    address = ServerAddress("http://127.0.0.1:4200/api", "lectern:secret")
    write_connection(address, path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_connection(path) == address
    remove_connection(ServerAddress("http://127.0.0.1:1/api", "another"), path)
    assert path.exists()
    remove_connection(address, path)
    assert not path.exists()


def test_a_file_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    """A prefect.toml that Lectern did not write is neither read nor replaced."""
    path = tmp_path / "prefect.toml"
    path.write_text('[api]\nurl = "http://127.0.0.1:1/api"\n')

    assert read_connection(path) is None
    with pytest.raises(PipelineError, match="not Lectern's"):
        write_connection(ServerAddress("http://127.0.0.1:2/api", "a:b"), path)
    assert path.read_text() == '[api]\nurl = "http://127.0.0.1:1/api"\n'


@pytest.mark.parametrize(
    "rest", [b"[half", b"[api]\n", b'api = "no table"\n', b"\xff\xfe\n"], ids=str
)
def test_a_damaged_file_of_ours_stops_nobody(
    rest: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told in a line, and goes: Prefect itself would stop at it."""
    path = tmp_path / "prefect.toml"
    address = ServerAddress("http://127.0.0.1:9/api", "a:b")
    write_connection(address, path)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0] + rest)

    with pytest.raises(PipelineError, match="is damaged") as caught:
        read_connection(path)
    assert str(caught.value).count("\n") == 0
    assert known_server(path) is None

    drop_damaged(path)
    assert "was removed" in caplog.text
    assert not path.exists()
    write_connection(address, path)
    drop_damaged(path)
    assert read_connection(path) == address


def test_a_damaged_file_of_the_users_own_is_told_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "prefect.toml"
    path.write_text("[half")

    with pytest.raises(PipelineError, match=r"is damaged .* Correct it, or remove it"):
        drop_damaged(path)
    assert path.read_text() == "[half"


def test_a_server_whose_turn_never_comes_is_given_up(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command that hangs while it starts one holds nobody up for ever."""
    monkeypatch.setattr("flows.server._TURN_S", 0.3)
    home = make_folder(prefect_home(config))

    with (
        FileLock(home / "starting.lock"),
        listen() as listener,
        pytest.raises(PipelineError, match="another command has been starting one"),
    ):
        start_server(config, listener, new_auth(), alone=True)


def test_prefects_own_settings_read_the_file(tmp_path: Path) -> None:
    """In its folder, Prefect finds the server, and the plugins of pyproject.toml stay on."""
    write_connection(ServerAddress("http://127.0.0.1:9/api", "me:it"), tmp_path / "prefect.toml")
    (tmp_path / "pyproject.toml").write_text("[tool.prefect.plugins]\nenabled = true\n")
    code = (
        "from prefect.settings import get_current_settings as s; c = s();"
        "print(c.api.url, c.api.auth_string.get_secret_value(), c.plugins.enabled,"
        "c.server.analytics_enabled)"
    )
    environment = {key: value for key, value in os.environ.items() if "PREFECT" not in key}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert answer.stdout.split() == ["http://127.0.0.1:9/api", "me:it", "True", "False"]


def test_a_private_file_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that is killed in the middle leaves what was there before, and never a part."""
    path = tmp_path / "auth"
    write_private(path, "before")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            write_private(path, "after")
    assert [(path, "before")] == [(each, each.read_text()) for each in tmp_path.iterdir()]
    write_private(path, "after")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("after", 0o600)


def test_an_empty_password_is_replaced(config: Settings) -> None:
    """A server without one lets anybody in; a good one stays, for the browser's login."""
    auth = config.home / "prefect" / "auth"
    auth.parent.mkdir(parents=True)
    auth.touch()

    first = kept_auth(config)

    assert all(first.split(":"))
    assert stat.S_IMODE(auth.stat().st_mode) == 0o600
    assert first == kept_auth(config)


def test_ending_the_workers_runs_ends_what_bears_their_marks() -> None:
    """Another server's runs go on, and so does the pool, which bears none."""
    address = ServerAddress("http://127.0.0.1:9/api")
    marks = [
        {**address.environment(), "PREFECT__FLOW_RUN_ID": "1"},
        {**ServerAddress("http://127.0.0.1:10/api").environment(), "PREFECT__FLOW_RUN_ID": "2"},
        {},
    ]
    command = [sys.executable, "-c", "print(flush=True); input()"]
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(command, env={**os.environ, **each}, stdin=pipe, stdout=pipe)
        for each in marks
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()

    stop_runs(address)

    ended = [child.poll() is not None for child in children]
    for child in children:
        child.kill()
        child.communicate()
    assert ended == [True, False, False]
