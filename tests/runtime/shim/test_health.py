"""The health check's state machine, without processes or clocks."""

from runtime.shim.health import Condition, after_probe, schedule, shorten, wait_before_probe
from runtime.spec import Health

SECOND = 1_000_000_000


def test_defaults_are_dockers():
    plan = schedule(Health(("CMD",)))
    assert (plan.interval, plan.timeout, plan.start_period, plan.start_interval, plan.retries) == (30, 30, 0, 5, 3)


def test_unhealthy_after_retries_and_healthy_after_one_success():
    plan = schedule(Health((), retries=2))
    one = after_probe(plan, Condition(), ok=False, began_since_start=40)
    assert one == Condition("starting", 1)
    two = after_probe(plan, one, ok=False, began_since_start=80)
    assert two == Condition("unhealthy", 2)
    assert after_probe(plan, two, ok=True, began_since_start=120) == Condition("healthy", 0)


def test_a_healthy_container_stays_healthy_until_the_streak_is_full():
    plan = schedule(Health((), retries=3))
    assert after_probe(plan, Condition("healthy", 0), ok=False, began_since_start=99) == Condition("healthy", 1)


def test_failures_inside_the_start_period_do_not_count():
    plan = schedule(Health((), start_period=10 * SECOND))
    assert after_probe(plan, Condition(), ok=False, began_since_start=9.9) == Condition()
    assert after_probe(plan, Condition(), ok=False, began_since_start=10.0).streak == 1


def test_the_start_interval_rules_inside_the_start_period():
    plan = schedule(Health((), interval=60 * SECOND, start_period=20 * SECOND, start_interval=2 * SECOND))
    assert wait_before_probe(plan, Condition(), since_start=2.1) == 2
    assert wait_before_probe(plan, Condition(), since_start=21) == 60
    assert wait_before_probe(plan, Condition("healthy", 0), since_start=5) == 60


def test_long_output_is_cut():
    assert shorten("x" * 5000) == "x" * 4096 + "..."


def test_early_probes_double_until_the_first_regular_one_and_their_failures_do_not_count():
    plan = schedule(Health((), interval=1 * SECOND, retries=1))
    times, now = [], 0.0
    while now < 1.0:
        now += wait_before_probe(plan, Condition(), now)
        times.append(round(now, 2))
    assert times == [0.03, 0.06, 0.12, 0.24, 0.48, 0.96, 1.0]
    assert after_probe(plan, Condition(), ok=False, began_since_start=0.96) == Condition()
    assert after_probe(plan, Condition(), ok=False, began_since_start=1.0) == Condition("unhealthy", 1)
