"""The content digest of docs/result-file.md, as that page defines it."""

import hashlib

import h5py
import numpy as np


def number(value):
    return int(value).to_bytes(8, "little")


def text(value):
    return number(len(value)) + value


def array(dtype, shape, values):
    """The serialisation of a dataset or attribute; values is what h5py read."""
    if dtype.kind == "S":
        name = b"str"
        strings = np.asarray(values, dtype=dtype).ravel().tolist()
        elements = b"".join(text(string) for string in strings)
    else:
        name = {"i": b"i", "u": b"u", "f": b"f"}[dtype.kind] + b"%d" % (8 * dtype.itemsize)
        elements = np.asarray(values, dtype=dtype.newbyteorder("<")).tobytes()
    return text(name) + number(len(shape)) + b"".join(map(number, shape)) + elements


def objects(group, prefix="/"):
    """All paths below a group with their objects, hard links under every name."""
    for name in group:
        path = prefix + name
        if path in ("/provenance", "/profile"):
            continue
        item = group[name]
        yield path, item
        if isinstance(item, h5py.Group):
            yield from objects(item, path + "/")


def attributes(path, item):
    names = [name for name in item.attrs if (path, name) != ("/", "content_digest")]
    yield number(len(names))
    for name in sorted(names, key=str.encode):
        attribute = item.attrs.get_id(name)
        yield text(name.encode())
        yield array(attribute.dtype, attribute.shape, item.attrs[name])


def pieces(file):
    """Path and serialisation of each object, in the order of the digest."""
    everything = [("/", file), *objects(file)]
    for path, item in sorted(everything, key=lambda entry: entry[0].encode()):
        is_dataset = isinstance(item, h5py.Dataset)
        piece = (b"D" if is_dataset else b"G") + text(path.encode())
        if is_dataset:
            piece += array(item.dtype, item.shape, item[()])
        yield path, piece + b"".join(attributes(path, item))


def content_digest(file):
    digest = hashlib.sha256(text(b"fp8cal content digest 1"))
    for _, piece in pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def object_digests(file):
    """What the table in /provenance should hold."""
    return {path: hashlib.sha256(piece).hexdigest() for path, piece in pieces(file)}
