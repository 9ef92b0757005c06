"""Messages, descriptors, ends."""

import os

import pytest

from runtime.messages import Channel, Closed, accept, listen, pair


def test_messages_and_descriptors_travel(tmp_path):
    left, right = pair()
    (tmp_path / "f").write_text("content")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    left.send({"op": "x", "n": 1}, (fd,))
    message, fds = right.receive()
    assert message == {"op": "x", "n": 1}
    assert os.read(fds[0], 10) == b"content"
    assert not os.get_inheritable(fds[0])
    for one in (fd, *fds):
        os.close(one)
    left.close()
    with pytest.raises(Closed):
        right.receive()
    with pytest.raises(Closed):
        right.send({})
    right.close()


def test_a_long_path_and_replacement_of_a_listener(tmp_path):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    path = str(deep / "control.sock")
    first = listen(path)
    second = listen(path)
    channel = Channel.connect(path)
    served = accept(second)
    channel.send({"hello": True})
    assert served.receive()[0] == {"hello": True}
    for sock in (first, second, channel, served):
        sock.close()
