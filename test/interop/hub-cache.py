"""Looks at a cache of huggingface_hub without a network, and prints what it finds as JSON."""

import hashlib
import json
import sys

import huggingface_hub as hub

model, revision, path = sys.argv[1:]


def digest(name):
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def failure(work):
    try:
        return work()
    except Exception as error:
        return type(error).__name__


scanned = hub.scan_cache_dir()
print(
    json.dumps(
        {
            "version": hub.__version__,
            "snapshot": failure(lambda: hub.snapshot_download(model)),
            "byTag": failure(lambda: hub.snapshot_download(model, revision=revision)),
            "file": failure(lambda: digest(hub.hf_hub_download(model, path, revision=revision))),
            "missing": failure(lambda: hub.hf_hub_download(model, "missing.json")),
            "warnings": [str(warning) for warning in scanned.warnings],
            "size": scanned.size_on_disk,
            "repos": [
                {
                    "id": repo.repo_id,
                    "revisions": [
                        {
                            "commit": one.commit_hash,
                            "refs": sorted(one.refs),
                            "files": sorted(str(file.file_path) for file in one.files),
                        }
                        for one in repo.revisions
                    ],
                }
                for repo in scanned.repos
            ],
        }
    )
)
