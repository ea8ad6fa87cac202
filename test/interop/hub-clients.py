"""What a client of the Hub does with a model, with whatever release of huggingface_hub is on the path."""

import os
import sys
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.utils import (
    EntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

original = Path(sys.argv[1])
cache = Path(sys.argv[2])
model = "Acme/Tiny"
api = HfApi()


def files(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in Path(directory).rglob("*")
        if path.is_file() and not str(path.relative_to(directory)).startswith(".")
    }


def raises(kind, work):
    try:
        work()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


wanted = files(original)
snapshot = snapshot_download(model, cache_dir=cache)
assert files(snapshot) == wanted, "snapshot_download"
commit = Path(snapshot).name
assert snapshot_download(model, cache_dir=cache) == snapshot
assert files(snapshot_download(model, revision=commit, local_dir=cache / "local")) == wanted

one = hf_hub_download(model, "onnx/model.onnx", revision="v1", cache_dir=cache / "one")
assert Path(one).read_bytes() == wanted["onnx/model.onnx"]
assert [path.name for path in (cache / "one").glob("models--*/refs/*")] == ["v1"]

assert set(api.list_repo_files(model)) == set(wanted)
assert len(list(api.list_repo_tree(model, recursive=True, expand=True))) == len(wanted) + 1
assert {ref.name for ref in api.list_repo_refs(model).tags} == {"latest", "v1"}
info = api.model_info(model, files_metadata=True)
assert info.sha == commit
assert {file.rfilename: file.size for file in info.siblings} == {
    path: len(content) for path, content in wanted.items()
}
paths = api.get_paths_info(model, ["onnx", "config.json", "nope"])
assert {path.path for path in paths} == {"onnx", "config.json"}
assert api.list_repo_commits(model)[0].commit_id == commit
assert api.file_exists(model, "config.json") and not api.file_exists(model, "nope")
assert api.repo_exists(model) and not api.repo_exists("acme/none")

system = HfFileSystem()
assert f"{model}/config.json" in system.ls(model, detail=False)
assert system.open(f"{model}/big.bin").read(100) == wanted["big.bin"][:100]

download = lambda **what: hf_hub_download(**what, cache_dir=cache / "none")
raises(RepositoryNotFoundError, lambda: download(repo_id="acme/none", filename="config.json"))
message = raises(RevisionNotFoundError, lambda: download(repo_id=model, filename="config.json", revision="v9"))
assert "its tags are" in message, message
raises(EntryNotFoundError, lambda: download(repo_id=model, filename="nope"))
refused = lambda: download(repo_id=model, filename="config.json", token="wrong")
raises(RepositoryNotFoundError, refused)

print(f"huggingface_hub {hub.__version__}: {len(wanted)} files of {commit}")
