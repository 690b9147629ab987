"""A payload made by hand, measured by real jobs of the script with the sums of the attempt before."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from b2cal import loop
from b2cal.calibration import Payload
from b2cal.loop import Act, PayloadFiles
from b2cal.model import JobGroup, Stage, Verdict
from tests.small_loop import MANAGER, SmallLoop

from .test_bad_input import MASK, advance_until, small

__all__ = ["small"]
pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]


def masked(small: SmallLoop, path: Path, share: float) -> Path:
    """The mask that was found, with a further share of the crystals in it; the script allows 2 % in all."""
    store = small.workplace.store
    found = small.read(lambda view: store.path(view.attempts[MASK].payloads[0].payload.identity))
    runs = small.read(lambda view: view.requested)
    mask = Payload.read(found, runs)
    crystal = mask.values["crystal"].copy()
    crystal[np.flatnonzero(crystal == 0)[: int(share * crystal.size)]] = 1
    Payload(mask.name, runs, {**mask.values, "crystal": crystal}).write(path)
    return path


def replace(small: SmallLoop, path: Path) -> None:
    it = small.read(lambda view: view.calibration(MASK))
    act = Act(MANAGER, it.version, "by eye")
    made = loop.brought_by_hand(small.workplace, it.id, PayloadFiles([path]), act)
    small.workplace.database.write(lambda db: loop.replace(db, it.id, made, act))


def grades(small: SmallLoop) -> dict[str, str]:
    """What the script measured, and how that was judged."""
    attempt = small.read(lambda view: view.attempts[MASK].id)
    with small.workplace.database.read() as db:
        verdict = db.get_one(Verdict, attempt)
        stages = db.scalars(select(JobGroup.stage).where(JobGroup.attempt_id == attempt)).all()
    assert list(stages) == [Stage.MEASURE]
    assert not verdict.generic_only
    return {check["name"]: check["grade"] for check in verdict.checks if check["origin"] == "script"}


def test_the_scripts_own_measurements_judge_a_payload_made_by_hand(small: SmallLoop, tmp_path: Path) -> None:
    small.begin()
    advance_until(small, "signed_off")
    replace(small, masked(small, tmp_path / "one.root", share=0.002))
    advance_until(small, "signed_off")
    assert grades(small)["bad_crystals"] == "pass"

    replace(small, masked(small, tmp_path / "many.root", share=0.04))
    advance_until(small, "review")
    assert grades(small)["bad_crystals"] == "fail"
