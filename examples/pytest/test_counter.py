"""Run with ``pytest`` in this directory, as root. Every test finds the counter at zero."""

import urllib.request


def get(service):
    return int(urllib.request.urlopen(service.url(8080)).read())


def post(service):
    return int(urllib.request.urlopen(service.url(8080), data=b"").read())


def test_it_counts(stack):
    counter = stack["counter"]
    assert [post(counter), post(counter)] == [1, 2]


def test_every_test_begins_at_zero(stack):
    assert get(stack["counter"]) == 0


def test_the_count_survives_a_restart(stack):
    counter = stack["counter"]
    post(counter)
    counter.restart()
    assert get(counter) == 1


def test_it_says_what_it_does(stack):
    post(stack["counter"])
    assert stack["counter"].wait_log("count", since="test").text == "counted"


def test_it_counts_on_after_a_pause(stack, faults):
    counter = stack["counter"]
    with faults.pause("counter"):
        assert counter.status == "paused"
    assert post(counter) == 1
