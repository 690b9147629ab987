"""The frozen graph of a processing, as a file for the DAG builder. Written by the agent from the outbox."""

import json
import re

from sqlalchemy.orm import Session

from b2cal.core.files import write_atomically
from b2cal.model import Processing, Step

from .rules import OVER
from .transition import effect
from .view import ProcessingView
from .workplace import Workplace


def want_graph(db: Session, processing: Processing) -> None:
    """Have the graph file written after the commit."""
    body = {"processing_id": processing.id}
    key = f"graph:{processing.id}:{processing.state.value}:{processing.version}"
    effect(db, key, "graph", f"processing {processing.id}", body)


def write_graph(workplace: Workplace, processing_id: int) -> None:
    """Write `dags/<processing>.json`: steps, calibrations, whom each waits for; `ended` when it is over."""
    with workplace.database.read() as db:
        view = ProcessingView(db, processing_id)
        graph = {
            "processing": view.processing.name,
            "state": "ended" if view.processing.state in OVER else "active",
            "steps": [step.value for step in Step],
            "calibrations": [
                {
                    "name": calibration.name,
                    "task_id": task_id(calibration.name),
                    "step": calibration.step.value,
                    "upstream": sorted(task_id(name) for name in view.directly_before[calibration.name]),
                }
                for calibration in view.calibrations.values()
            ],
        }
        name = view.processing.name
    workplace.settings.dags.mkdir(parents=True, exist_ok=True)
    write_atomically(workplace.settings.dags / f"{name}.json", json.dumps(graph, indent=1))


def task_id(name: str) -> str:
    """Airflow's id for a calibration: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_")
