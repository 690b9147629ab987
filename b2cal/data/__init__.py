"""Data: the run registry, the catalogue of files, and the way from a selection to the inputs of a calibration."""

from .arrivals import Arrival, StreamArrival, arrival
from .behind_doors import FolderBehindDoors, NoDoor, bring, free_behind_doors, trouble_at, trouble_in_writing
from .catalogue import GONE, ScanReport, scan
from .credentials import Credential, Credentials, CredentialTrouble, proving, spoken_moment
from .expiry import NothingThere, expiry_of_attempt, expiry_of_streams, set_expiry
from .inputs import ChosenFile, Completeness, Inputs, RunChoice, Shortfall, select
from .leftovers import files_in, folders_in, remove_from
from .produced import NewFile, UnusableFile, late_files, register_produced
from .registry import RegistryRefused
from .selection import InvalidSelection, Selection, default_selection, selection_problems
from .transfer import CannotCopy, Original, copy_file
from .watches import (
    FolderGone,
    NotWatched,
    WatchedAlready,
    begin_watch,
    end_watch,
    note_scanned,
    note_trouble,
    scan_watched,
    watches,
)

__all__ = [
    "GONE",
    "Arrival",
    "CannotCopy",
    "ChosenFile",
    "Completeness",
    "Credential",
    "CredentialTrouble",
    "Credentials",
    "FolderBehindDoors",
    "FolderGone",
    "Inputs",
    "InvalidSelection",
    "NewFile",
    "NoDoor",
    "NotWatched",
    "NothingThere",
    "Original",
    "RegistryRefused",
    "RunChoice",
    "ScanReport",
    "Selection",
    "Shortfall",
    "StreamArrival",
    "UnusableFile",
    "WatchedAlready",
    "arrival",
    "begin_watch",
    "bring",
    "copy_file",
    "default_selection",
    "end_watch",
    "expiry_of_attempt",
    "expiry_of_streams",
    "files_in",
    "folders_in",
    "free_behind_doors",
    "late_files",
    "note_scanned",
    "note_trouble",
    "proving",
    "register_produced",
    "remove_from",
    "scan",
    "scan_watched",
    "select",
    "selection_problems",
    "set_expiry",
    "spoken_moment",
    "trouble_at",
    "trouble_in_writing",
    "watches",
]
