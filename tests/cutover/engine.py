"""Runs moto's server as an engine for Step Functions. Its clock is set shortly before midnight, UTC, so that executions can
run across it. The argument is the port. It prints the time of that midnight, in seconds since the Unix epoch, and serves.

The engine calls Lambda at `http://localhost:$MOTO_PORT`.
"""

import datetime
import sys
import time
import types

import moto.stepfunctions.parser.asl.component.state.state as state
from moto.core.config import default_user_config
from moto.server import main

DAY = 86_400
# Time enough for the first scenarios to begin.
midnight = int(time.time()) + 20
ahead = datetime.timedelta(seconds=DAY - midnight % DAY)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + ahead


# Where the context object's $$.State.EnteredTime comes from.
state.datetime = types.SimpleNamespace(datetime=Clock, timezone=datetime.timezone)
default_user_config["stepfunctions"] = {"execute_state_machine": True}
print(midnight, flush=True)
main(["--host", "127.0.0.1", "--port", sys.argv[1]])
