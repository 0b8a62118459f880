"""Folders and files that come, move and go as a whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from .steps import explained, step, sync_folder


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, and sync the folders that name the new ones; returns it."""
    with explained(path, 0):
        step("mkdir", path)
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in new:
            sync_folder(folder.parent)
    return path


def make_private(path: Path) -> Path:
    """Create a folder that nobody else may enter, below folders that are made if need be."""
    with explained(path, 0):
        step("mkdir", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    return path


def rename_folder(path: Path, target: Path) -> None:
    """Give a folder that nobody reads another name, where there is nothing or an empty folder."""
    with explained(target, 0):
        step("rename", target)
        os.replace(path, target)
        for parent in {path.parent, target.parent}:
            sync_folder(parent)


def link_folder(path: Path, target: Path) -> None:
    """Let `path` be another name of a published folder, which is read through it and never written;
    removing the tree around it leaves the folder as it is."""
    with explained(path, 0):
        make_folder(path.parent)
        step("link", path)
        path.symlink_to(target, target_is_directory=True)


def remove_tree(path: Path) -> None:
    """Remove an attempt folder and all in it, or a stray file in its place; missing is fine."""
    if path.is_symlink() or path.is_file():
        remove_file(path)
    elif path.exists():
        step("remove", path)
        try:
            shutil.rmtree(path)
        except FileNotFoundError:  # another process removes it too
            if path.exists():
                shutil.rmtree(path)


def remove_file(path: Path) -> None:
    """Remove one unpublished or refuted file; missing is fine."""
    step("unlink", path)
    path.unlink(missing_ok=True)


def remove_for_good(path: Path) -> None:
    """Remove one file, which a power cut does not bring back; missing is fine."""
    remove_file(path)
    if path.parent.is_dir():
        sync_folder(path.parent)


def remove_empty(folder: Path) -> None:
    """Remove a folder if nothing is in it; another process may put something there just now."""
    with contextlib.suppress(OSError):
        folder.rmdir()
