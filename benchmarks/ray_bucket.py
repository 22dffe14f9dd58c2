"""Whether `capcli caption --on ray` reads from a bucket of S3 and writes to one.

usage: python benchmarks/ray_bucket.py [--pictures N] [--model NAME|FILE]

Needs `pip install "moto[server,s3]"`, which plays S3 on this computer. Captions pictures of a bucket into it, prints
what the command says, and compares the rows with those of the same pictures on the disk. The exit code is 1 if they
differ.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import command
from photographs import make_photographs
from pyarrow import dataset
from pyarrow.fs import FileSystem

PORT, BUCKET = 5055, "capcli-bucket"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()
    import boto3
    from moto.server import ThreadedMotoServer

    os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    server = ThreadedMotoServer(port=PORT, verbose=False)
    server.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "pictures")
        folder.mkdir()
        make_photographs(folder, options.pictures)
        next(folder.iterdir()).write_bytes(b"no picture")
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for path in folder.iterdir():
            client.upload_file(str(path), BUCKET, f"in/{path.name}")
        rows = [
            caption(source, output, options.model)
            for source, output in (
                (str(folder), f"{name}/out"),
                (f"s3://{BUCKET}/in", f"s3://{BUCKET}/out"),
            )
        ]
    server.stop()
    equal = rows[0] == rows[1]
    print(f"{len(rows[1])} rows in the bucket; they are {'those' if equal else 'NOT those'} of the disk")
    sys.exit(not equal)


def caption(source: str, output: str, model: str) -> list[dict[str, Any]]:
    run = [command(), "caption", "-r", source, "--on", "ray", "-o", output, "--model", model, "--part-rows", "16"]
    subprocess.run(run, check=False)
    filesystem, path = FileSystem.from_uri(output) if "://" in output else (None, output)
    rows: list[dict[str, Any]] = dataset.dataset(path, filesystem=filesystem).to_table().sort_by("number").to_pylist()
    return [{**row, "path": Path(row["path"]).name} for row in rows]


if __name__ == "__main__":
    main()
