"""Speech to timed words: the same words however often a run is killed, at the times they are heard.

The model has random weights: it hears nonsense, but always the same of the same sound.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from filelock import FileLock, Timeout
from support import media
from support.media import RATE, Samples, needs_speech, silence, write_media
from support.processes import running
from support.whisper import Shape, write_whisper
from whisper_model.grammar import sentences
from whisper_model.speech import speak_sentences

from tasks.errors import ModelError, SourceError, StorageError
from tasks.extract.process import Child
from tasks.media import speech, speech_process, whisper_models
from tasks.media.audio import Audio
from tasks.media.speech import Heard, SpeechOptions, Turn, transcribe
from tasks.media.speech_languages import CODES, whisper_code
from tasks.media.speech_request import PieceLimits, SpeechRequest, Stamp, stamp_of
from tasks.media.transcript import TimedWord
from tasks.media.whisper_models import SpeechModel, resolve
from tasks.settings import PROJECT_ROOT, Settings

LIMITS = PieceLimits(window_s=4.0, speech_s=8.0, section_s=10.0)  # with batches of 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def spoken(material: Path) -> Samples:
    """A president's two sentences, 11 s."""
    return media.decoded(material / "speech" / "jfk.flac")


@pytest.fixture(scope="module")
def lecture(spoken: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 37 s with pauses, of several pieces."""
    parts = [part for i in range(3) for part in (spoken, silence(0.8 + i / 2))]
    return write_media(tmp_path_factory.mktemp("lecture") / "lecture.wav", np.concatenate(parts))


@pytest.fixture
def here(tmp_path: Path, model: Path) -> Settings:
    return Settings(
        home=tmp_path / "home", speech_model=str(model), speech_batch=2, speech_device="cpu"
    )


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbed: what it found, said, and left behind.

    Attributes:
        others, told_others: of a second one of the same recording, begun in the midst of it.
    """

    heard: Heard
    told: list[tuple[str, int, int]]
    home: Path
    others: Heard
    told_others: list[str]


@pytest.fixture(scope="module")
def a_run(lecture: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home, told, told_others = tmp_path_factory.mktemp("undisturbed"), [], list[str]()
    config = Settings(home=home, speech_model=str(model), speech_batch=2, speech_device="cpu")
    waits = threading.Event()

    def first(label: str, done: int, total: int) -> None:
        told.append((label, done, total))
        if label.startswith("transcribing"):
            other.start() if not other.ident else waits.wait(20)

    def second(label: str, done: int, total: int) -> None:
        told_others.append(label)
        waits.set()

    others: list[Heard] = []
    other = threading.Thread(
        target=lambda: others.append(hear(lecture, config, progress=second, turn=no_turn))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech_process, "_POLL_S", 0.01)  # to be told of each step
        heard = hear(lecture, config, progress=first)
    other.join()
    return Undisturbed(heard, told, home, others[0], told_others)


@pytest.fixture
def undisturbed(a_run: Undisturbed) -> Heard:
    return a_run.heard


@pytest.fixture
def finished(a_run: Undisturbed, here: Settings) -> Path:
    """Let the run have been in this test's home; return the folder of what is kept."""
    shutil.copytree(a_run.home, here.home)
    return next((here.home / "speech").iterdir())


def hear(
    path: Path,
    settings: Settings,
    options: SpeechOptions | None = None,
    *,
    again: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    turn: Turn = lambda model: nullcontext(),
    stamp: Stamp | None = None,
) -> Heard:
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    options = options or SpeechOptions()
    return transcribe(
        path,
        content,
        str(path),
        settings,
        options,
        again=again,
        progress=progress,
        turn=turn,
        stamp=stamp,
        limits=LIMITS,
    )


def no_turn(model: SpeechModel) -> AbstractContextManager[None]:
    raise AssertionError("nothing is to be recognised")


def samples_of(path: Path) -> tuple[Samples, tuple[str, ...]]:
    """Return a file's sound as it is recognised, as int16, and what of it is lost."""
    with Audio(path, str(path)) as audio:
        parts = [np.zeros(0, np.float32), *audio.blocks()]
        return (np.concatenate(parts) * 32768).astype(np.int16), audio.lost()


# The sound.


@pytest.mark.parametrize("name", ["jfk.flac", "hotwords.mp3"])
def test_sound_is_that_of_faster_whisper(material: Path, name: str) -> None:
    faster_whisper = pytest.importorskip("faster_whisper")
    path = material / "speech" / name
    theirs = (faster_whisper.decode_audio(str(path)) * 32768).astype(np.int16)

    np.testing.assert_array_equal(samples_of(path)[0], theirs)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv"])
def test_sound_that_begins_late_is_at_its_time(tmp_path: Path, suffix: str) -> None:
    """Half a second of picture alone is half a second of silence."""
    pcm = np.concatenate([media.noise(1.0), silence(1.0)])
    path = write_media(tmp_path / f"late{suffix}", pcm, video=True, rate=48000, start_offset_s=0.5)
    heard, lost = samples_of(path)
    loud = np.flatnonzero(np.abs(heard.astype(int)) > 300) / RATE

    assert 0.44 < loud[0] < 0.56
    assert 1.44 < loud[-1] < 1.56
    assert lost == ()


def test_a_gap_in_the_sound_is_silence(tmp_path: Path) -> None:
    """What comes after missing packets is at its own time."""
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono")
        for start_s in (0, 5):
            frame = av.AudioFrame.from_ndarray(media.noise(1.0)[np.newaxis], "s16", "mono")
            frame.sample_rate, frame.pts = RATE, start_s * RATE
            for part in _frames(frame, stream.codec_context.frame_size or 4608):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    loud = np.flatnonzero(np.abs(samples_of(path)[0].astype(int)) > 300) / RATE
    late = loud[loud > 2]

    assert loud[loud < 2][-1] == pytest.approx(1.0, abs=0.06)
    assert late[0] == pytest.approx(5.0, abs=0.06)


def _frames(frame: av.AudioFrame, size: int) -> list[av.AudioFrame]:
    """Cut a frame; the parts' times follow from its own."""
    fifo, start = av.AudioFifo(), frame.pts or 0
    frame.pts = None
    fifo.write(frame)
    parts = fifo.read_many(size, True)
    for i, part in enumerate(parts):
        part.pts, part.time_base = start + i * size, Fraction(1, RATE)
        part.sample_rate = RATE
    return parts


def test_a_file_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = media.truncated(write_media(tmp_path / "cut.flac", media.noise(20.0)))
    heard, lost = samples_of(path)

    assert 8 < len(heard) / RATE < 12
    assert any("of 0:20" in each for each in lost)


def test_damage_in_the_middle_is_skipped_and_told(tmp_path: Path) -> None:
    path = write_media(tmp_path / "damaged.m4a", media.noise(20.0))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = random.Random(1).randbytes(6000)
    path.write_bytes(data)
    heard, lost = samples_of(path)

    assert len(heard) / RATE == pytest.approx(20, abs=0.2)
    assert lost == ("its sound is damaged in 1 place",)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (media.empty, "can't be read as a video or recording"),
        (media.text_as_media, "can't be read as a video or recording|has no sound track"),
        (media.without_audio, "has no sound track"),
        (lambda path: write_media(path.with_suffix(".wav"), silence(0)), "has no sound"),
    ],
)
def test_what_has_no_sound_is_told(
    tmp_path: Path, here: Settings, make: Callable[[Path], Path], problem: str
) -> None:
    path = make(tmp_path / "file.mp4")

    with pytest.raises(SourceError, match=problem):
        hear(path, here)


def test_a_playlist_leads_nowhere(tmp_path: Path, lecture: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:60\n#EXTINF:60,\n{lecture}\n#EXT-X-ENDLIST\n")

    with pytest.raises(SourceError):
        samples_of(path)


# The words.


@needs_speech
def test_words_are_those_of_the_batched_pipeline(tmp_path: Path) -> None:
    """The same words at the same times as by one call for the whole file, where it skips none."""
    faster_whisper = pytest.importorskip("faster_whisper")
    path = write_media(tmp_path / "talk.wav", speak_sentences(sentences(5, seed=3))[0])
    model = Settings().models / "whisper-demo"
    loaded = faster_whisper.WhisperModel(str(model), "cpu", compute_type="int8", cpu_threads=1)
    segments, _ = faster_whisper.BatchedInferencePipeline(loaded).transcribe(
        str(path), batch_size=8, word_timestamps=True
    )
    theirs = [word for segment in segments for word in segment.words]
    config = Settings(home=tmp_path, speech_model="demo")
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    ours = transcribe(path, content, str(path), config, SpeechOptions()).words

    assert [word.text for word in ours] == [word.word.strip() for word in theirs]
    middles = [(word.start + word.end) / 2 for word in theirs]
    assert [(word.start_s + word.end_s) / 2 for word in ours] == pytest.approx(middles, abs=0.5)


def test_words_are_in_order_and_last(undisturbed: Heard) -> None:
    words = undisturbed.words

    assert len(words) > 25
    assert all(word.start_s < word.end_s for word in words)
    assert all(a.start_s < b.start_s and a.end_s <= b.start_s for a, b in _pairs(words))
    assert undisturbed.duration_s == pytest.approx(37, abs=1)
    assert undisturbed.lost == ()


def _pairs(items: tuple[TimedWord, ...]) -> list[tuple[TimedWord, TimedWord]]:
    return list(itertools.pairwise(items))


def test_no_word_is_in_a_pause(undisturbed: Heard) -> None:
    """Between the second and the third time that it is said there are 1.3 s."""
    begins = 2 * 11 + 0.8 + 1.3 - 0.5
    inside = [word for word in undisturbed.words if begins - 0.3 < word.start_s < begins]

    assert not inside


@media.needs_speech
def test_words_are_at_the_times_they_are_spoken(tmp_path: Path) -> None:
    """Behind a late beginning and a long silence too; the demo's model knows these words."""
    demo = PROJECT_ROOT / "data" / "models" / "whisper-demo"
    if not demo.is_dir():
        pytest.skip("needs data/models/whisper-demo")
    first = media.speak("The teacher explained a difficult problem.")
    last = media.speak("This network measured our digital signal.")
    said = media.joined(silence(1.0), first, silence(40.0), last, silence(2.0))
    path = write_media(tmp_path / "said.mp4", said.pcm, video=True, start_offset_s=0.5)
    heard = hear(path, Settings(home=tmp_path / "home", speech_model="demo"))
    times = {word.text.strip("."): word.start_s for word in heard.words}
    found = [(times[word], start + 0.5) for word, start, _ in said.words if word in times]

    assert len(found) > len(said.words) / 2
    assert all(ours == pytest.approx(theirs, abs=0.5) for ours, theirs in found)


@pytest.mark.parametrize("sound", [silence(12.0), media.music(12.0)])
def test_where_nobody_speaks_there_are_no_words(
    tmp_path: Path, here: Settings, sound: Samples
) -> None:
    heard = hear(write_media(tmp_path / "silent.wav", sound), here)

    assert (heard.words, heard.language, heard.duration_s) == ((), "", 12.0)


def test_the_language_is_found_once_or_given(material: Path, tmp_path: Path) -> None:
    short = material / "speech" / "jfk.flac"
    many = write_whisper(tmp_path / "many", Shape(is_multilingual=True))
    config = Settings(home=tmp_path / "home", speech_model=str(many), speech_batch=2)
    found = hear(short, config)
    given = hear(short, config, SpeechOptions(language="German"))

    assert found.language in CODES
    assert 0 < found.language_probability <= 1
    assert (given.language, given.language_probability) == ("de", 1.0)
    assert given.identity != found.identity


def test_a_model_that_lacks_the_language_is_told(lecture: Path, here: Settings) -> None:
    with pytest.raises(ModelError, match="it does not know the language de"):
        hear(lecture, here, SpeechOptions(language="de"))


@pytest.mark.parametrize(
    ("written", "code"),
    [("en", "en"), ("zh-CN", "zh"), ("eng", "en"), ("German", "de"), ("nb", "no"), ("yue", "yue")],
)
def test_languages_are_known_as_people_write_them(written: str, code: str) -> None:
    assert whisper_code(written) == code


def test_an_unknown_language_is_told_with_the_nearest() -> None:
    with pytest.raises(SourceError, match=r"Did you mean german \(de\)\?"):
        whisper_code("germann")


def test_languages_are_those_of_faster_whisper() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(_LANGUAGE_CODES) == CODES


def test_the_identity_changes_with_what_the_words_depend_on(here: Settings) -> None:
    """A batch is where pieces may end; the type is another where a GPU is short of memory."""
    model = resolve(here)

    def identity(model: SpeechModel = model, settings: Settings = here, **said: str) -> str:
        return speech._identity(model, settings, SpeechOptions(**said), None)

    others = {
        identity(hotwords="Lectern"),
        identity(language="en"),
        identity(replace(model, compute_type="float16")),
        identity(settings=here.model_copy(update={"speech_batch": 4})),
    }

    assert len(others - {identity()}) == 4
    assert identity(language="English") == identity(language="en")


def test_a_damaged_model_is_told(lecture: Path, here: Settings, tmp_path: Path) -> None:
    broken = write_whisper(tmp_path / "broken")
    (broken / "model.bin").write_bytes(b"no")

    with pytest.raises(ModelError, match="it can't be loaded"):
        hear(lecture, here.model_copy(update={"speech_model": str(broken)}))


# Going on.


def test_what_is_finished_needs_no_child(
    lecture: Path, here: Settings, finished: Path, undisturbed: Heard
) -> None:
    told: list[str] = []
    heard = hear(lecture, here, progress=lambda *each: told.append(each[0]), turn=no_turn)

    assert heard == undisturbed
    assert told == []


def test_memory_is_asked_for_in_the_turn(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn may free it. Until then it holds the machine's place, and the model is known."""
    free, turns = [0], list[tuple[str, bool]]()
    monkeypatch.setattr(whisper_models, "free_mb", lambda device: free[0])

    def place_is_held() -> bool:
        try:
            with FileLock(here.home / "speech.lock", blocking=False):
                return False
        except Timeout:
            return True

    @contextmanager
    def turn(model: SpeechModel) -> Iterator[None]:
        turns.append((model.name, place_is_held()))
        free[0] = 1 << 20
        yield
        raise AssertionError

    with pytest.raises(SourceError, match="can't be read as a video or recording"):
        hear(media.empty(tmp_path / "empty.mp4"), here, turn=turn)

    assert turns == [(here.speech_model, True)]
    assert not place_is_held()


def test_progress_and_pieces_come_while_it_works(a_run: Undisturbed) -> None:
    names = {path.name for path in (a_run.home / "speech").glob("*/*.json")}

    heard = [(done, total) for label, done, total in a_run.told if "lecture.wav" in label]
    assert any(0 < done < total == 36 for done, total in heard)
    assert heard == sorted(heard)
    assert {"piece-0001.json", "piece-0002.json", "piece-0003.json", "final.json"} <= names


def test_again_recognises_anew(
    lecture: Path, here: Settings, finished: Path, undisturbed: Heard
) -> None:
    final = finished / "final.json"
    final.write_text(final.read_text().replace('"words":[', '"words":[["gone",0,1,true,1,[]],'))

    assert hear(lecture, here).words[0].text == "gone"
    assert hear(lecture, here, again=True) == undisturbed


def test_a_damaged_piece_is_made_again(
    lecture: Path, here: Settings, finished: Path, undisturbed: Heard
) -> None:
    (finished / "final.json").unlink()
    (finished / "piece-0003.json").write_text('{"version":1')

    assert hear(lecture, here) == undisturbed


def test_progress_that_raises_ends_the_child(lecture: Path, here: Settings) -> None:
    def cancel(label: str, done: int, total: int) -> None:
        if label.startswith("transcribing"):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        hear(lecture, here, progress=cancel)

    assert not _recognisers(os.getpid())


def test_one_recording_at_a_time_is_recognised(a_run: Undisturbed) -> None:
    """Whoever waits says so, and takes over what the other has found, without a turn."""
    assert a_run.others == a_run.heard
    assert set(a_run.told_others) == {"transcribing lecture.wav: waiting for another recording"}


@dataclass(frozen=True)
class Killed:
    """How often who is to be killed, and how soon at the latest."""

    victim: str
    seed: int


SOAK = bool(os.environ.get("LECTERN_SOAK"))
KILLS = [Killed(("child", "parent")[seed % 2], seed) for seed in range(50 if SOAK else 2)]

RUN = """
import hashlib, sys
from pathlib import Path
from tasks.media.speech import SpeechOptions, transcribe
from tasks.media.speech_request import PieceLimits
from tasks.settings import Settings
path = Path(sys.argv[1])
config = Settings(home=sys.argv[2], speech_model=sys.argv[3], speech_batch=2)
content = hashlib.sha256(path.read_bytes()).hexdigest()
limits = PieceLimits(window_s=4.0, speech_s=8.0, section_s=10.0)
transcribe(path, content, str(path), config, SpeechOptions(), limits=limits)
"""


@pytest.mark.soak
@pytest.mark.parametrize("killed", KILLS, ids=lambda each: f"{each.victim}-{each.seed}")
def test_a_run_goes_on_after_a_kill(
    lecture: Path, here: Settings, undisturbed: Heard, model: Path, killed: Killed
) -> None:
    """The rerun makes no finished piece again, and comes to the same words."""
    rng = random.Random(killed.seed)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(lecture), str(here.home), str(model)],
        cwd=PROJECT_ROOT,
        stderr=subprocess.DEVNULL,
    )
    _wait_for(lambda: len(_pieces(here)) >= rng.randrange(1, 4) or process.poll() is not None)
    time.sleep(rng.uniform(0, 0.2))
    children = _recognisers(process.pid)
    for victim in children if killed.victim == "child" else [process]:
        victim.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(children, timeout=20)
    before = _pieces(here)
    heard = hear(lecture, here)

    assert heard == undisturbed
    assert before.items() <= _pieces(here).items()


def _pieces(settings: Settings) -> dict[str, int]:
    """Return the finished pieces, and when each was written."""
    found = (settings.home / "speech").glob("*/piece-*.json")
    return {path.name: path.stat().st_mtime_ns for path in found}


def _recognisers(*parents: int) -> list[psutil.Process]:
    """Return the children of processes that recognise speech."""
    every = running("tasks.media.speech_child", psutil.process_iter(["ppid"]))
    return [each for each in every if each.info["ppid"] in parents]


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


# What goes wrong.


def test_a_killed_child_is_told(lecture: Path, here: Settings) -> None:
    """As what passes: the same recording may be heard another time."""

    def kill(label: str, done: int, total: int) -> None:
        for child in _recognisers(os.getpid()):
            child.kill()

    with pytest.raises(ModelError, match="was killed, as the system does when memory runs out"):
        hear(lecture, here, progress=kill)


def a_request(path: Path, stamp: Stamp | None = None) -> SpeechRequest:
    return SpeechRequest(
        media=str(path),
        uri="talk",
        stamp=stamp or stamp_of(path),
        folder=str(path.parent),
        progress=-1,
        result=-1,
        model="none",
        model_name="tiny",
        device="cpu",
        compute_type="int8",
        n_threads=1,
        batch=2,
        language="",
        hotwords="",
        max_hours=1.0,
        window_s=4.0,
        speech_s=8.0,
        section_s=10.0,
    )


def child_says(request: SpeechRequest, before: str = "") -> dict[str, str]:
    """Return the failure of a child that does something before its work."""
    code = f"from tasks.media import speech_child\n{before}\nspeech_child.main()"
    with tempfile.TemporaryFile() as result:
        request = replace(request, result=result.fileno())
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            pass_fds=[result.fileno()],
            text=True,
            cwd=PROJECT_ROOT,
        ) as process:
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(request)) + "\n")
            process.stdin.flush()
            process.wait()  # with its pipe open: it would end with us
        said: dict[str, str] = json.loads(os.pread(result.fileno(), 9999, 0))
        return said


def test_a_child_without_memory_tells_what_passes(tmp_path: Path) -> None:
    lacking = "def lacks(request): raise MemoryError\nspeech_child._transcribe = lacks"
    said = child_says(a_request(media.empty(tmp_path / "talk.mp4")), lacking)

    assert (said["kind"], said["subject"]) == ("ModelError", "tiny")
    assert "LECTERN_SPEECH_MODEL" in said["remedy"]


def test_a_child_reads_no_other_recording_than_was_meant(tmp_path: Path) -> None:
    """It may wait for hours before it opens the file."""
    path = media.empty(tmp_path / "talk.mp4")
    same, other = child_says(a_request(path)), child_says(a_request(path, (1, 2, 3, 4)))

    assert "can't be read as a video" in same["problem"]
    assert (other["kind"], other["problem"]) == ("SourceError", "changes while it is read")


def test_a_recording_that_changed_since_it_was_hashed_is_refused(
    lecture: Path, here: Settings
) -> None:
    with pytest.raises(SourceError, match="changes while it is read"):
        hear(lecture, here, stamp=(1, 2, 3, 4))


def test_of_a_recording_that_changes_no_words_are_kept(
    lecture: Path,
    here: Settings,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But those of pieces that were there before: they are of what it was."""
    path = shutil.copyfile(lecture, tmp_path / "same.wav")
    (finished / "final.json").unlink()
    for number in (3, 4, 5):
        (finished / f"piece-{number:04}.json").unlink(missing_ok=True)

    class Ends(Child):
        def wait(self, seconds: float) -> int | None:
            code = super().wait(seconds)
            if code is not None:
                found.update(_pieces(here))
                os.utime(path)
            return code

    found: dict[str, int] = {}
    monkeypatch.setattr(speech_process, "Child", Ends)

    with pytest.raises(SourceError, match="changes while it is read"):
        hear(path, here)

    assert len(found) > 2
    assert {each.name for each in finished.iterdir()} == {"piece-0001.json", "piece-0002.json"}


def test_a_full_disk_is_told_by_the_folder_that_is_full(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Child):
        def wait(self, seconds: float) -> int | None:
            super().wait(seconds)
            return errno.ENOSPC

    monkeypatch.setattr(speech_process, "Child", Full)

    with pytest.raises(StorageError, match="no space is left for what is heard") as caught:
        hear(media.empty(tmp_path / "talk.mp4"), here)

    assert caught.value.subject == str(here.home)


def test_a_recording_longer_than_allowed_is_told(lecture: Path, here: Settings) -> None:
    with pytest.raises(SourceError, match=r"is longer than 0\.002 hours"):
        hear(lecture, here.model_copy(update={"media_max_hours": 0.002}))


def test_modules_that_start_nothing_import_nothing_heavy() -> None:
    """`--help` and PDFs must not wait for what recognises speech."""
    code = (
        "import sys, tasks.media.speech\n"
        "print(sorted({'av', 'ctranslate2', 'faster_whisper', 'numpy', 'huggingface_hub'}"
        " & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT
    ).stdout

    assert said.strip() == "[]"
    assert speech.Heard is Heard


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_recordings_that_are_cut_short_say_so(tmp_path: Path, suffix: str) -> None:
    """Where the file says how long it should be; a whole one says nothing."""
    path = write_media(tmp_path / f"talk{suffix}", silence(60))
    assert samples_of(path)[1] == ()

    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert samples_of(path)[1] != ()


def test_a_clock_that_goes_round_does_not_make_a_recording_longer(tmp_path: Path) -> None:
    path = write_media(tmp_path / "talk.ts", silence(20), video=True)
    with Audio(path, str(path)) as audio:
        length = sum(map(len, audio.blocks()))

        assert audio.seen_s == pytest.approx(20, abs=2)
        assert length / RATE == pytest.approx(20, abs=2)
