"""
Connections to object stores by obstore: where they are, by which credentials, once per process and configuration.

obstore reads the variables of each provider (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``) and the role of the host. Of AWS
people also have profiles, single sign-on and the like in ``~/.aws``; these it does not know, so botocore is asked where
no key is in the environment.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mica_lake.errors import ObjectStoreError

SCHEMES = ("s3", "gs", "az")
_VARIABLES = ("AWS_", "GOOGLE_", "AZURE_")
# Seconds that an answer may take; a partition of 30 MB over a slow line takes more than obstore's 30 s.
_TIMEOUT = "300s"
_RETRY_FOR = timedelta(seconds=90)
# For how long what botocore gave is used before it is asked again; it renews what is about to expire.
_CREDENTIALS_FOR = timedelta(minutes=5)


def connected(scheme: str, bucket: str) -> Any:
    """Connection of this process to a bucket, an obstore ``ObjectStore``; an ImportError if obstore is missing."""
    environment = tuple(item for item in sorted(os.environ.items()) if item[0].startswith(_VARIABLES))
    return _connected(os.getpid(), scheme, bucket, environment)


@lru_cache(maxsize=64)
def _connected(pid: int, scheme: str, bucket: str, environment: tuple[tuple[str, str], ...]) -> Any:
    _load()
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    given = dict(environment)
    config = _of_aws(given) if scheme == "s3" else {}
    endpoints = [config.get("endpoint", ""), *(value for name, value in environment if "ENDPOINT" in name)]
    try:
        return from_url(
            f"{scheme}://{bucket}",
            client_options={"timeout": _TIMEOUT, "allow_http": any(url.startswith("http://") for url in endpoints)},
            retry_config={"max_retries": int(given.get("AWS_MAX_ATTEMPTS", 5)) - 1, "retry_timeout": _RETRY_FOR},
            **config,
        )
    except BaseError as error:
        reason = str(error).split("\n\n", 1)[0]
        raise ObjectStoreError(f"{scheme}://{bucket}: it is not known how to connect ({reason})") from None


def polars_options(scheme: str) -> dict[str, str] | None:
    """What Polars must be told to connect as `connected` does; None where it reads the same variables by itself."""
    if scheme != "s3":
        return None
    given = dict(os.environ)
    config = _of_aws(given)
    provider = config.pop("credential_provider", None)
    endpoint = config.get("endpoint") or given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL")
    region = config.get("region") or given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION")
    options = {"aws_region": region or "us-east-1"}
    if endpoint:
        options |= {"aws_endpoint_url": endpoint, "aws_allow_http": str(endpoint.startswith("http://")).lower()}
    if config.get("skip_signature") or _is_true(given.get("AWS_SKIP_SIGNATURE")):
        return {**options, "aws_skip_signature": "true"}
    if provider is not None:
        keys = provider()
    else:
        keys = {name: given.get(f"AWS_{name.upper()}") for name in ("access_key_id", "secret_access_key")}
        keys["token"] = given.get("AWS_SESSION_TOKEN")
    names = {"access_key_id": "access_key_id", "secret_access_key": "secret_access_key", "token": "session_token"}
    return options | {f"aws_{names[name]}": keys[name] for name in names if keys[name]}


def _of_aws(environment: Mapping[str, str]) -> dict[str, Any]:
    """What botocore knows and obstore does not; nothing if the environment has a key, or says to use none."""
    if environment.get("AWS_ACCESS_KEY_ID") or _is_true(environment.get("AWS_SKIP_SIGNATURE")):
        return {}
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session
    except ImportError:  # obstore then tries the roles of the host by itself
        return {}
    try:
        return _of_session(get_session(), environment)
    except BotoCoreError as error:
        raise ObjectStoreError(f"AWS's configuration cannot be used: {error}") from None


def _of_session(session: Any, environment: Mapping[str, str]) -> dict[str, Any]:
    """Region, endpoint and credentials of a botocore session."""
    config: dict[str, Any] = {}
    if region := session.get_config_variable("region"):
        config["region"] = region
    named = any(environment.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    if not named and (endpoint := session.get_scoped_config().get("endpoint_url")):
        config["endpoint"] = endpoint
    credentials = session.get_credentials()
    if credentials is None:  # a public bucket may be read without
        return {**config, "skip_signature": True}

    def provider() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_FOR,
        }

    return {**config, "credential_provider": provider}


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in ("true", "1", "yes", "on")


_inherited = False


def _in_child() -> None:
    global _inherited
    _inherited |= "obstore" in sys.modules


os.register_at_fork(after_in_child=_in_child)


def _load() -> None:
    """
    Import obstore; in a process that was forked from one that had it, a copy of its library.

    obstore keeps the threads that make its requests in a variable of its library. A fork inherits the variable and not
    the threads, and would wait for them forever. The library of another file has variables of its own.
    """
    global _inherited
    try:
        import obstore
    except ImportError:
        raise ImportError(
            "a lake on an object store is read by obstore: pip install 'mica-lake[object-store]'"
        ) from None
    if not _inherited:
        return
    name = "obstore._obstore"
    original = Path(str(sys.modules[name].__file__))
    for module in [module for module in sys.modules if module.split(".")[0] == obstore.__name__]:
        del sys.modules[module]
    with TemporaryDirectory() as folder:
        copied = shutil.copy(original, folder)
        spec = spec_from_file_location(name, copied, loader=ExtensionFileLoader(name, copied))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    _inherited = False
