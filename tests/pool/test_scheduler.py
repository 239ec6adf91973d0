"""The scheduler's policy, without a model: plain lists of numbers for tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.pool.scheduler import INTERACTIVE_ROOM, Scheduler
from tasks.pool.sequences import Move, Sequence, Step, TooLongError, common_prefix
from tasks.pool.slots import MIN_COPY_GAIN, MIN_STEPS_LEFT

NEW = 9_999  # a generated token


def compute(scheduler: Scheduler) -> Step:
    """Do a step as the engine does, with NEW as every next token; finish full answers."""
    step = scheduler.schedule()
    scheduler.commit(step)
    for piece in step.pieces:
        if piece.complete:
            scheduler.append(piece.sequence, [NEW])
            if piece.sequence.n_generated >= piece.sequence.max_tokens:
                scheduler.finish(piece.sequence)
    return step


def sequence(
    number: int, prompt: list[int], max_tokens: int = 4, run: str = "", *, interactive: bool = False
) -> Sequence:
    return Sequence(number, prompt, max_tokens, run, interactive)


def own(number: int, n: int) -> list[int]:
    """Return a prompt that shares nothing with another number's."""
    return [1000 * (number + 1) + i for i in range(n)]


def admitted(scheduler: Scheduler) -> list[int]:
    return [s.id for s in compute(scheduler).admitted]


def test_a_prompt_that_can_never_fit_is_refused_before_it_is_queued() -> None:
    """Prompt and answer together must fit n_ctx; nothing is queued otherwise."""
    scheduler = Scheduler(n_seq_max=2, n_ctx=20, n_batch=8)
    scheduler.add(sequence(0, own(0, 16), max_tokens=4))

    with pytest.raises(TooLongError, match="17 prompt tokens and 4"):
        scheduler.add(sequence(1, own(1, 17), max_tokens=4))

    assert [s.id for s in scheduler.waiting] == [0]


def test_running_sequences_decode_before_a_prompt_fills_the_rest() -> None:
    """A long prompt beside a running answer: every step has the answer's token first, and
    as much of the prompt as n_batch leaves."""
    scheduler = Scheduler(n_seq_max=2, n_ctx=100, n_batch=8)
    scheduler.add(sequence(0, own(0, 4), max_tokens=20))
    compute(scheduler)
    scheduler.add(sequence(1, own(1, 30)))

    sizes = [{p.sequence.id: len(p.tokens) for p in compute(scheduler).pieces} for _ in range(6)]

    assert sizes == [{0: 1, 1: 7}] * 4 + [{0: 1, 1: 2}, {0: 1, 1: 1}]


def test_only_the_last_piece_of_a_prompt_asks_for_logits() -> None:
    scheduler = Scheduler(n_seq_max=1, n_ctx=100, n_batch=8)
    scheduler.add(sequence(0, own(0, 20)))

    pieces = [compute(scheduler).pieces[0] for _ in range(3)]

    assert [(p.pos, len(p.tokens), p.complete) for p in pieces] == [
        (0, 8, False),
        (8, 8, False),
        (16, 4, True),
    ]


def test_a_batch_is_ordered_by_seq_id() -> None:
    """llama.cpp cuts a batch of split streams wherever seq_ids don't ascend."""
    scheduler = Scheduler(n_seq_max=3, n_ctx=100, n_batch=16)
    for number in range(3):
        scheduler.add(sequence(number, own(number, 3), max_tokens=1 if number == 0 else 9))
    compute(scheduler)
    scheduler.add(sequence(3, own(3, 3)))

    assert [p.seq_id for p in compute(scheduler).pieces] == [0, 1, 2]


def test_a_finished_prompt_is_reused_but_for_its_last_token() -> None:
    """The same prompt again: all but the last token come from the slot's cache."""
    scheduler = Scheduler(n_seq_max=1, n_ctx=100, n_batch=16)
    scheduler.add(sequence(0, own(0, 10), max_tokens=1))
    compute(scheduler)
    again = sequence(1, own(0, 10), max_tokens=1)
    scheduler.add(again)

    step = compute(scheduler)

    assert ([Move(0, None, 9)], 9, 1) == (
        step.moves,
        again.cached_tokens,
        len(step.pieces[0].tokens),
    )


def test_the_free_slot_with_the_longest_common_prefix_is_chosen() -> None:
    scheduler = Scheduler(n_seq_max=3, n_ctx=100, n_batch=200)
    for number in range(3):
        scheduler.add(sequence(number, own(number, 50), max_tokens=1))
    compute(scheduler)
    scheduler.add(sequence(3, own(1, 40) + own(7, 5)))

    assert [Move(1, None, 40)] == compute(scheduler).moves


def test_the_least_recently_used_cache_goes_first() -> None:
    """A prompt that no slot knows takes the slot whose cache nobody has used for longest, and not
    one of which it happens to share a few tokens."""
    scheduler = Scheduler(n_seq_max=3, n_ctx=100, n_batch=200)
    for number in range(3):
        scheduler.add(sequence(number, own(number, 50), max_tokens=1))
        compute(scheduler)
    scheduler.add(sequence(3, own(0, 50), max_tokens=1))
    compute(scheduler)
    scheduler.add(sequence(4, own(0, 3) + own(8, 50), max_tokens=1))

    assert [Move(1, None, 0)] == compute(scheduler).moves


def test_running_sequences_sit_side_by_side() -> None:
    """In a split cache, where llama.cpp computes neighbours together; in a unified one it does
    not matter, and the least recently used goes."""
    seats = {}
    for n_cells in (None, 400):
        scheduler = Scheduler(n_seq_max=4, n_ctx=100, n_batch=200, n_cells=n_cells)
        for number in (0, 1, 2, 3, 1):
            scheduler.add(sequence(number, own(number, 50), max_tokens=1))
            compute(scheduler)
        scheduler.add(sequence(4, own(4, 50), max_tokens=50))
        compute(scheduler)
        scheduler.add(sequence(5, own(5, 50), max_tokens=50))
        seats[n_cells] = [piece.seq_id for piece in compute(scheduler).pieces]

    assert seats == {None: [0, 1], 400: [0, 2]}


def test_a_sequence_that_was_left_apart_moves_next_to_the_others() -> None:
    """When those between have ended and nobody waits; with its cache, and it goes on as before."""
    scheduler = Scheduler(n_seq_max=4, n_ctx=100, n_batch=64)
    for number, max_tokens in enumerate((20, 1, 1, 20)):
        scheduler.add(sequence(number, own(number, 5), max_tokens))
    compute(scheduler)

    step = compute(scheduler)

    assert step.moves == [Move(1, 3, 5)]
    assert [(p.sequence.id, p.seq_id, p.pos) for p in step.pieces] == [(0, 0, 5), (3, 1, 5)]


def test_near_its_end_a_sequence_stays_where_it_is() -> None:
    scheduler = Scheduler(n_seq_max=3, n_ctx=100, n_batch=64)
    for number, max_tokens in enumerate((20, 1, MIN_STEPS_LEFT)):
        scheduler.add(sequence(number, own(number, 5), max_tokens))
    compute(scheduler)

    assert [piece.seq_id for piece in compute(scheduler).pieces] == [0, 2]


def test_a_request_waits_for_cells_of_a_unified_cache() -> None:
    """Its prompt and the longest answer must fit beside those that run; then it gets them."""
    scheduler = Scheduler(n_seq_max=4, n_ctx=60, n_batch=64, n_cells=100)
    first, second = (sequence(n, own(n, 40), max_tokens=15) for n in range(2))
    scheduler.add(first)
    scheduler.add(second)
    compute(scheduler)

    assert [s.id for s in scheduler.running] == [0]
    while first.n_generated < 15:
        compute(scheduler)
    assert [s.id for s in compute(scheduler).admitted] == [1]


def test_what_is_idle_in_a_unified_cache_goes_when_cells_are_needed() -> None:
    """The least recently used first, and no more than is needed."""
    scheduler = Scheduler(n_seq_max=4, n_ctx=60, n_batch=64, n_cells=100)
    for number in range(3):
        scheduler.add(sequence(number, own(number, 30), max_tokens=1))
        compute(scheduler)
    scheduler.add(sequence(3, own(3, 40), max_tokens=20))

    assert compute(scheduler).moves == [Move(0, None, 0), Move(1, None, 0), Move(3, None, 0)]


def test_a_request_that_needs_the_whole_unified_cache_gets_it() -> None:
    """Even where the slot that holds its beginning must go for it."""
    scheduler = Scheduler(n_seq_max=3, n_ctx=100, n_batch=200, n_cells=100)
    for number in range(2):
        scheduler.add(sequence(number, own(0, 40 + number), max_tokens=1))
        compute(scheduler)
    scheduler.add(sequence(2, [*own(0, 20), *own(2, 60)], max_tokens=20))

    assert [s.id for s in compute(scheduler).admitted] == [2]


def test_prompts_come_in_small_pieces_while_somebody_reads_along() -> None:
    scheduler = Scheduler(n_seq_max=2, n_ctx=900, n_batch=512)
    scheduler.add(sequence(0, own(0, 4), max_tokens=20, interactive=True))
    compute(scheduler)
    scheduler.add(sequence(1, own(1, 800)))

    assert [len(piece.tokens) for piece in compute(scheduler).pieces] == [1, INTERACTIVE_ROOM]


def decoding(n_cells: int | None, *max_tokens: int) -> Scheduler:
    """Return a scheduler with as many sequences as limits, all of which decode next."""
    n = len(max_tokens)
    scheduler = Scheduler(n, n_ctx=100, n_batch=16, n_cells=n_cells)
    for number, limit in enumerate(max_tokens):
        scheduler.add(sequence(number, own(number, 5), limit))
    compute(scheduler)
    return scheduler


def test_guesses_stay_within_the_answer_and_the_step() -> None:
    scheduler = decoding(300, 20, 3, 20)

    longer = scheduler.speculate(scheduler.schedule(), {0: [7] * 9, 1: [7] * 9, 2: [7] * 9})

    assert [piece.draft for piece in longer.pieces] == [[7] * 9, [7], [7] * 3]


def test_guesses_have_one_length_in_a_split_cache() -> None:
    """There each length would be computed by itself, reading all weights again."""
    scheduler = decoding(None, 20, 20, 20)

    longer = scheduler.speculate(scheduler.schedule(), {0: [7], 1: [7] * 6, 2: [7] * 4})

    assert [len(piece.draft) for piece in longer.pieces] == [0, 4, 4]


def test_interactive_prompts_are_read_before_others() -> None:
    """A request that somebody waits for overtakes a long prompt that is half read."""
    scheduler = Scheduler(n_seq_max=2, n_ctx=900, n_batch=64)
    scheduler.add(sequence(0, own(0, 800)))
    compute(scheduler)
    scheduler.add(sequence(1, own(1, 50), interactive=True))

    read = {piece.sequence.id: len(piece.tokens) for piece in compute(scheduler).pieces}

    assert read == {0: 14, 1: 50}


def test_what_was_guessed_wrong_is_cut_off() -> None:
    """Of four guesses one was right: the slot holds it, and the rest goes before the next step."""
    scheduler = Scheduler(n_seq_max=1, n_ctx=100, n_batch=64)
    one = sequence(0, own(0, 10), max_tokens=20)
    scheduler.add(one)
    compute(scheduler)
    step = scheduler.speculate(scheduler.schedule(), {0: [1, 2, 3, 4]})
    scheduler.commit(step)
    scheduler.append(one, [1, 9])

    step = scheduler.schedule()

    assert step.moves == [Move(0, None, 12)]
    assert [(piece.pos, piece.tokens) for piece in step.pieces] == [(12, [9])]


def test_a_prefix_held_by_a_running_slot_is_copied() -> None:
    """The running slot's cache is copied whole, then cut to what is shared."""
    scheduler = Scheduler(n_seq_max=2, n_ctx=200, n_batch=128)
    shared = own(0, MIN_COPY_GAIN + 8)
    scheduler.add(sequence(0, [*shared, 1], max_tokens=50))
    compute(scheduler)
    second = sequence(1, [*shared, 2, 3])
    scheduler.add(second)

    step = compute(scheduler)

    assert [Move(1, 0, len(shared))] == step.moves
    assert len(shared) == second.cached_tokens
    assert step.pieces[1].tokens == [2, 3]


def test_a_small_gain_is_not_worth_a_copy() -> None:
    scheduler = Scheduler(n_seq_max=2, n_ctx=200, n_batch=128)
    shared = own(0, MIN_COPY_GAIN - 1)
    scheduler.add(sequence(0, [*shared, 1], max_tokens=50))
    compute(scheduler)
    scheduler.add(sequence(1, [*shared, 2]))

    assert [Move(1, None, 0)] == compute(scheduler).moves


def test_a_prefix_that_is_being_computed_is_waited_for() -> None:
    """Eight requests with one shared start arrive together: it is computed once."""
    scheduler = Scheduler(n_seq_max=8, n_ctx=200, n_batch=64)
    shared = own(0, 100)
    sequences = [sequence(n, shared + own(n + 1, 10), max_tokens=9) for n in range(8)]
    for each in sequences:
        scheduler.add(each)
    while any(not s.n_generated for s in sequences):
        compute(scheduler)

    assert [s.cached_tokens for s in sequences] == [0] + [100] * 7


def test_without_reuse_every_prompt_starts_from_nothing() -> None:
    """Recurrent models: a slot's cache is dropped whole."""
    scheduler = Scheduler(n_seq_max=1, n_ctx=100, n_batch=16, reuse=False)
    for number in range(2):
        scheduler.add(sequence(number, own(0, 10), max_tokens=1))

    assert [[Move(0, None, 0)]] * 2 == [compute(scheduler).moves for _ in range(2)]


def test_runs_take_turns() -> None:
    """Ten requests of one run, then two of another: the second does not wait for ten."""
    scheduler = Scheduler(n_seq_max=1, n_ctx=100, n_batch=16)
    for number in range(4):
        scheduler.add(sequence(number, own(number, 3), max_tokens=1, run="a"))
    for number in range(4, 6):
        scheduler.add(sequence(number, own(number, 3), max_tokens=1, run="b"))

    assert [i for _ in range(6) for i in admitted(scheduler)] == [0, 4, 1, 5, 2, 3]


def test_interactive_requests_go_first() -> None:
    scheduler = Scheduler(n_seq_max=1, n_ctx=100, n_batch=16)
    for number in range(2):
        scheduler.add(sequence(number, own(number, 3), max_tokens=1))
    scheduler.add(sequence(2, own(2, 3), max_tokens=1, interactive=True))

    assert [i for _ in range(3) for i in admitted(scheduler)] == [2, 0, 1]


def test_finishing_a_waiting_sequence_takes_it_out_of_the_line() -> None:
    scheduler = Scheduler(n_seq_max=1, n_ctx=100, n_batch=16)
    sequences = [sequence(n, own(n, 3), max_tokens=1, run=str(n % 2)) for n in range(4)]
    for each in sequences:
        scheduler.add(each)
    scheduler.finish(sequences[0])
    scheduler.finish(sequences[3])

    assert [i for _ in range(2) for i in admitted(scheduler)] == [1, 2]
    assert not scheduler


def test_a_batch_smaller_than_the_slots_is_an_error() -> None:
    with pytest.raises(ValueError, match="n_batch 4 is below n_seq_max 8"):
        Scheduler(n_seq_max=8, n_ctx=100, n_batch=4)


prompts = st.lists(st.integers(0, 2), min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(prompts, st.integers(1, 12), st.sampled_from("ab")), max_size=12),
    st.integers(1, 4),
    st.integers(4, 24),
    st.sampled_from([None, 72, 100, 300]),
    st.data(),
)
def test_every_sequence_is_computed_once_in_order_and_within_bounds(
    requests: list[tuple[list[int], int, str]],
    n_seq_max: int,
    n_batch: int,
    n_cells: int | None,
    data: st.DataObject,
) -> None:
    """Whatever is shared, copied, emptied, moved or guessed: a slot's cache is exactly its
    sequence's tokens, no step exceeds n_batch, no cache its cells, and everything ends."""
    scheduler = Scheduler(n_seq_max, 72, n_batch, n_cells=n_cells)
    cache: dict[int, list[int]] = {slot: [] for slot in range(n_seq_max)}
    sequences = [sequence(n, p, m, run) for n, (p, m, run) in enumerate(requests)]
    for each in sequences:
        scheduler.add(each)
    steps = 0
    while scheduler:
        step = scheduler.schedule()
        if step.only_decodes:
            guesses = st.lists(st.integers(0, 1), max_size=4)
            step = scheduler.speculate(
                step, {p.sequence.id: data.draw(guesses) for p in step.pieces}
            )
        for move in step.moves:
            source = cache[move.seq_id if move.source is None else move.source]
            cache[move.seq_id] = source[: move.keep]
        for piece in step.pieces:
            assert piece.pos == len(cache[piece.seq_id])
            known = len(piece.tokens) - piece.n_draft
            cache[piece.seq_id] += piece.tokens[:known]
            assert cache[piece.seq_id] == piece.sequence.tokens[: len(cache[piece.seq_id])]
            cache[piece.seq_id] += piece.draft
        if n_cells is not None:
            assert sum(map(len, cache.values())) <= n_cells
        scheduler.commit(step)
        assert 0 < sum(len(p.tokens) for p in step.pieces) <= n_batch
        for piece in step.pieces:
            if piece.complete:
                right = data.draw(st.integers(0, piece.n_draft)) if piece.n_draft else 0
                scheduler.append(piece.sequence, [*piece.draft[:right], NEW])
                if piece.sequence.n_left <= 0:
                    scheduler.finish(piece.sequence)
        steps += 1
        assert steps < 2_000

    assert [s.max_tokens for s in sequences] == [s.n_generated for s in sequences]


@given(prompts, prompts)
def test_common_prefix_is_the_longest(a: list[int], b: list[int]) -> None:
    n = common_prefix(a, b)

    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
