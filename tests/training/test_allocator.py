import platform

from rankmill.training.allocator import keep_freed_memory


def test_the_allocator_agrees_where_it_is_glibc(monkeypatch):
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False
