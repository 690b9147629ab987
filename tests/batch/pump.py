"""A client of the local backend in a process of its own, to be killed: follows events until all jobs have ended.

python pump.py DATABASE_URL SLOTS [BATCH_ID ...]      the jobs named are cancelled first
"""

import sys
import time

from b2cal.batch import START, LocalBackend
from b2cal.core.clock import SystemClock
from b2cal.model import Database

url, slots, *cancelled = sys.argv[1:]
backend = LocalBackend(Database(url, SystemClock()), int(slots))
backend.cancel(cancelled)
while any(not event.handle.state.ended for event in backend.events(START)):
    time.sleep(0.02)
