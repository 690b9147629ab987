"""What the loop should be, in some pages: `RULES` for the states, and a dictionary of values for freshness.

An attempt remembers the values that its upstream had when it started, and is stale when they are others now. Time
passes, with the site there or away. The value that a copy reads is what its tag holds; that of a production is what it
was made from.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from b2cal.loop import FINISHED, PROCESSING_RULES, RULES, Actor, ProcessingVerb, Verb
from b2cal.loop.rules import GOING
from b2cal.model import Kind, ProcessingState, State

WINDOW, WINDOW_AFTER_REJECT = 5000, 2000
UNCHANGED, EMPTY, LOCAL = "unchanged", "empty", "local"
"""What a copy may be told: that nothing has changed, to copy a tag without constants, or one that has them."""

Reads = dict[str, object]


class Model:
    """One processing with its calibrations."""

    def __init__(
        self, upstream: Mapping[str, AbstractSet[str]], kinds: Mapping[str, Kind], defaults: Mapping[str, object]
    ) -> None:
        self.upstream, self.kinds, self.defaults = upstream, kinds, defaults
        self.processing = ProcessingState.ACTIVE
        self.held = False
        self.automatic_publication = True
        self.state = dict.fromkeys(upstream, State.OPEN)
        self.made: dict[str, object] = dict.fromkeys(upstream, "old")
        self.read: dict[str, Reads] = {}
        self.used: dict[str, AbstractSet[str]] = {}
        self.kept: dict[str, Reads] = {}
        self.by_hand: set[str] = set()
        self.without_attempt: set[str] = set()
        self.acts = 0
        self.generation = 1
        self.now = 0
        self.window = dict.fromkeys(upstream, (0, WINDOW))
        self.seen: int | None = None
        self.outages: list[tuple[int, int]] = []
        self.given: set[tuple[str, int]] = set()
        self.submitted: dict[str, object] = {}
        self.automatic: set[str] = set()
        self.ran: dict[str, object] = {}
        self.rejected: dict[str, list[object]] = {name: [] for name in upstream}
        self.passes: dict[str, bool] = {}
        self.source: tuple[object, ...] = ("first",)
        self.files: dict[str, object] = {}

    @property
    def going(self) -> bool:
        return self.processing in GOING

    @property
    def moves(self) -> bool:
        """Whether anything happens by itself."""
        return self.going and not self.held

    # --- what is read, and whether it still holds

    def gives(self, name: str) -> object:
        """What others read of it: its own constants when it is signed off, else those of the base; or its files."""
        if self.kinds[name] is Kind.PRODUCE:
            return self.files.get(name)
        return self.made[name] if self.state[name] is State.SIGNED_OFF else "old"

    def reads_now(self, name: str, told: object = None) -> Reads:
        """What an attempt of it would read that was told this (if nothing: what its submission says)."""
        told = told or self.submitted.get(name)
        if self.kinds[name] is Kind.COPY:
            return {"source": self.source} if told == LOCAL else {}
        return {other: self.gives(other) for other in self.upstream[name]}

    def settled(self, name: str) -> bool:
        return self.state[name] in FINISHED and self.freshness(name) == "fresh"

    def ready(self, name: str) -> bool:
        if not all(self.settled(other) for other in self.upstream[name]):
            return False
        productions = [other for other in self.upstream[name] if self.kinds[other] is Kind.PRODUCE]
        return all(self.gives(other) is not None for other in productions)

    def freshness(self, name: str) -> str:
        if self.state[name] in (State.OPEN, State.SUBMITTED, State.VETOED) or name in self.without_attempt:
            return "fresh"
        if self.processing is ProcessingState.CANCELLED:
            return "fresh"  # nothing in it is done again
        if not all(self.settled(other) for other in self.upstream[name]):
            return "in doubt"
        now = self.counting(name, self.reads_now(name))
        return "fresh" if now in (self.counting(name, self.read[name]), self.kept.get(name)) else "stale"

    def counting(self, name: str, reads: Reads) -> Reads:
        """Without the constants that its jobs did not use, as soon as they have told."""
        if self.kinds[name] is Kind.COPY or self.state[name] in (State.RUNNING, State.FAILED):
            return reads
        counts = {other for other in reads if other in self.used[name] or self.kinds[other] is Kind.PRODUCE}
        return {other: reads[other] for other in counts}

    @property
    def all_settled(self) -> bool:
        return all(self.settled(name) for name in self.upstream)

    # --- windows

    def loses(self, name: str, began: int, ended: int) -> bool:
        start, end = self.window[name]
        began = max(began, start)
        return began < end and ended - began > max(600, 0.1 * (end - start))

    def extend(self, name: str) -> None:
        """Give back to an open window what the outages of the site took from it, once each."""
        for number, (began, ended) in enumerate(self.outages):
            start, end = self.window[name]
            if (name, number) not in self.given and ended > start and self.loses(name, began, ended):
                self.given.add((name, number))
                self.window[name] = (start, ended + end - max(began, start))
                self.acts += 1

    def is_due(self, name: str) -> bool:
        """Whether the defaults are submitted now."""
        if self.now < self.window[name][1] or (self.seen is not None and self.loses(name, self.seen, self.now)):
            return False
        return not self.was_rejected(name, self.defaults[name])

    def was_rejected(self, name: str, told: object) -> bool:
        return [told, self.reads_now(name, told)] in self.rejected[name]

    # --- verbs

    def allowed(self, verb: Verb, name: str, by: Actor) -> bool:
        if not self.going:
            return False
        refused = {
            Verb.WITHDRAW: self.now >= self.window[name][1],
            Verb.REPLACE: self.freshness(name) == "in doubt",
            Verb.KEEP: self.freshness(name) != "stale",
            Verb.RETRY_JOBS: self.freshness(name) != "fresh",
            Verb.SIGN_OFF: self.freshness(name) != "fresh",
        }
        if refused.get(verb):
            return False
        state, kind = self.state[name], self.kinds[name]
        if verb is Verb.RETRY_JOBS and state is State.RUNNING:
            return False  # no rule asks about a job
        return any(r.verb is verb and state in r.at and kind in r.kinds and by.role in r.who for r in RULES)

    def processing_allowed(self, verb: ProcessingVerb, by: Actor) -> bool:
        if verb is ProcessingVerb.PUBLISH and not self.all_settled:
            return False
        if self.held and verb is ProcessingVerb.HOLD:
            return False
        if not self.held and verb is ProcessingVerb.RELEASE:
            return False
        return any(row.verb is verb and self.processing in row.at and by.role in row.who for row in PROCESSING_RULES)

    def go(self, name: str, to: State) -> None:
        if self.state[name] in FINISHED and to is not self.state[name]:
            self.new_pass()
        self.state[name] = to
        self.acts += 1
        self.without_attempt.discard(name)

    def new_pass(self) -> None:
        """Something finished was reopened, or is stale now."""
        self.generation += 1
        if self.processing is ProcessingState.COMPLETE:
            self.processing = ProcessingState.ACTIVE

    def submit(self, name: str, told: object, *, automatic: bool = False) -> None:
        self.submitted[name] = told
        self.automatic.discard(name)
        if automatic:
            self.automatic.add(name)
        self.go(name, State.SUBMITTED)

    def reopen(self, name: str) -> None:
        self.window[name] = (self.now, self.now + WINDOW_AFTER_REJECT)

    def replace(self, name: str, value: object) -> None:
        """It is judged as if what it used before had led to it; what failed had not told, so all counts."""
        if self.state[name] is State.FAILED:
            self.used[name] = self.upstream[name]
        self.made[name] = value
        self.read[name] = self.reads_now(name)
        self.kept.pop(name, None)
        self.ran.pop(name, None)
        self.by_hand.add(name)
        self.go(name, State.VALIDATING)

    def end_attempt(self, name: str) -> None:
        self.ran.pop(name, None)
        self.files.pop(name, None)

    def cancel(self) -> None:
        self.processing = ProcessingState.CANCELLED
        unfinished = {name for name in self.upstream if self.state[name] not in FINISHED}
        self.without_attempt |= unfinished
        for name in unfinished:
            self.files.pop(name, None)

    def tag_grows(self, value: object) -> None:
        """The tag that is copied from holds something else for the runs from now on."""
        self.source = (*self.source, value)
        copies = [name for name in self.upstream if self.kinds[name] is Kind.COPY]
        read = any(self.submitted.get(name) == LOCAL for name in copies)
        if read and self.going and any(self.freshness(name) != "fresh" for name in self.upstream):
            self.new_pass()

    # --- what happens by itself

    def advance(self, name: str) -> None:
        """All that is due for a calibration."""
        while self.moves and self._step(name):
            pass

    def _step(self, name: str) -> bool:
        state, freshness = self.state[name], self.freshness(name)
        if state not in FINISHED and freshness == "stale" and name not in self.by_hand:
            self.end_attempt(name)
            self.go(name, State.SUBMITTED)
        elif state is State.OPEN:
            self.extend(name)
            if not self.is_due(name):
                return False
            self.submit(name, self.defaults[name], automatic=True)
        elif state is State.SUBMITTED and self.ready(name):
            self._start(name)
        elif state is State.RUNNING and self.kinds[name] is Kind.COPY:
            self._copy(name)
        elif state is State.REVIEW and freshness == "fresh" and self.passes[name]:
            self.go(name, State.SIGNED_OFF)
        else:
            return False
        return True

    def _start(self, name: str) -> None:
        told = self.submitted[name]
        if name in self.automatic and self.was_rejected(name, told):
            self.submitted.pop(name)
            self.go(name, State.OPEN)
            return
        self.read[name] = self.reads_now(name)
        self.used[name] = set()
        self.ran[name] = [told, self.read[name]]
        self.kept.pop(name, None)
        self.by_hand.discard(name)
        self.go(name, State.RUNNING)

    def _copy(self, name: str) -> None:
        """It needs no jobs, and is judged at once."""
        told = self.submitted[name]
        if told == EMPTY:
            self.go(name, State.FAILED)
            return
        self.made[name] = "old" if told == UNCHANGED else self.source
        self.passes[name] = told == UNCHANGED  # the payloads of a test are no files, which its verdict tells
        self.go(name, State.VALIDATING)
        self.go(name, State.REVIEW)

    def advance_processing(self) -> None:
        while self.moves:
            if self.processing is ProcessingState.ACTIVE and self.all_settled:
                self.processing = ProcessingState.COMPLETE
            elif self.processing is ProcessingState.COMPLETE and not self.all_settled:
                self.processing = ProcessingState.ACTIVE
            elif self.processing is ProcessingState.COMPLETE and self.automatic_publication:
                self.processing = ProcessingState.PUBLISHED
            else:
                return
