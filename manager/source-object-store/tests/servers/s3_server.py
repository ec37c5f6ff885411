"""An S3 server on the loopback interface, with the bucket `models`.

Says its endpoint in the first line; then every line of input is a command, answered by one line when it is done.
"""

import json
import logging
import os
import sys

os.environ["MOTO_S3_DEFAULT_MAX_KEYS"] = "50"  # So that a listing has pages.

import boto3
from moto.server import ThreadedMotoServer

PART = b"p" * (5 << 20)  # The least that S3 takes but for the last.

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
endpoint = "http://%s:%d" % server.get_host_and_port()
client = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="id",
    aws_secret_access_key="secret",
)
client.create_bucket(Bucket="models")
print(endpoint, flush=True)


def put_parts(key, count):
    upload = client.create_multipart_upload(Bucket="models", Key=key)["UploadId"]
    parts = []
    for number in range(1, count + 1):
        part = client.upload_part(Bucket="models", Key=key, UploadId=upload, PartNumber=number, Body=PART)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    parts = {"Parts": parts}
    client.complete_multipart_upload(Bucket="models", Key=key, UploadId=upload, MultipartUpload=parts)


for line in sys.stdin:
    command = json.loads(line)
    match command:
        case {"put": key, "from": path}:
            with open(path, "rb") as body:
                client.put_object(Bucket="models", Key=key, Body=body)
        case {"put_many": keys}:
            for key in keys:
                client.put_object(Bucket="models", Key=key, Body=key.encode())
        case {"put_parts": key, "parts": count}:
            put_parts(key, count)
        case {"delete": key}:
            client.delete_object(Bucket="models", Key=key)
        case _:
            raise ValueError(command)
    print("done", flush=True)
