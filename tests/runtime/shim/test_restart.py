"""The restart policy is a table."""

import pytest

from runtime.shim.restart import next_delay, should_restart
from runtime.spec import Restart


@pytest.mark.parametrize(
    ("policy", "code", "restarts", "manual", "expected"),
    [
        (Restart("no"), 1, 0, False, False),
        (Restart("always"), 0, 9, False, True),
        (Restart("always"), 0, 9, True, False),
        (Restart("unless-stopped"), 0, 0, False, True),
        (Restart("on-failure"), 0, 0, False, False),
        (Restart("on-failure"), 3, 99, False, True),
        (Restart("on-failure", 2), 3, 1, False, True),
        (Restart("on-failure", 2), 3, 2, False, False),
    ],
)
def test_policies(policy, code, restarts, manual, expected):
    assert should_restart(policy, exit_code=code, restarts=restarts, manual=manual) is expected


def test_delay_doubles_to_a_minute_and_resets_after_a_settled_run():
    delays = [0.0]
    for _ in range(12):
        delays.append(next_delay(delays[-1], ran_for=0.01))
    assert delays[1:5] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert next_delay(60.0, ran_for=10.0) == 0.1
