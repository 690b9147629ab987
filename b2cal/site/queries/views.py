"""Processings as one page sees them: what it shows and the tally on top of it look at the same, and only once."""

from sqlalchemy.orm import Session

from b2cal.loop import ProcessingView


def view_of(db: Session, processing_id: int) -> ProcessingView:
    """The view of a processing in the snapshot of one page."""
    seen = _seen(db)
    if processing_id not in seen:
        seen[processing_id] = ProcessingView(db, processing_id)
    return seen[processing_id]


def view_named(db: Session, name: str) -> ProcessingView:
    """The same by the name of the processing.

    Raises:
        NotFound: there is none.
    """
    seen = _seen(db)
    view = next((view for view in seen.values() if view.processing.name == name), None)
    if view is None:
        view = ProcessingView.of(db, name)
        seen[view.processing.id] = view
    return view


def _seen(db: Session) -> dict[int, ProcessingView]:
    seen: dict[int, ProcessingView] = db.info.setdefault("views of the page", {})
    return seen
