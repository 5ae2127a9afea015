"""Turns predictions into COCO's formats, and COCO's results into predictions."""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pycocotools import mask as rle

from wsis._support.checks import few, warn
from wsis.contracts import Annotated, GroundTruth, Rle, Tagged
from wsis.data.halves import for_classes
from wsis.data.images import tell_changed
from wsis.data.names import alike, from_end, plain
from wsis.data.segmentations import Outlines, check_segmentation, emptiness, to_rle
from wsis.geometry.predictions import Predictions

_MOST = sys.float_info.max

TRUSTED = "tags_trusted"
"""Marks predictions that were made with the tags of the photos known."""

KEYS = ("image_id", "category_id", "segmentation", "score")

_NAMES = ("file_name", "category")
"""Keys of a result beside COCO's: the names of its photo and class."""


def to_coco(
    predictions: Sequence[Predictions], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Return ``Predictions.to_coco`` of many images as one list, in their order.

    Args:
        predictions: of any images.
        category_ids: the category of labels 1…C, in this order.

    Raises:
        ValueError: if a label has no category.
    """
    return [result for image in predictions for result in image.to_coco(category_ids)]


def from_coco(
    results: Any, truths: Sequence[GroundTruth], category_ids: Sequence[int]
) -> list[Predictions]:
    """Return predictions of every image in ``truths``, in that order.

    Best first, equal scores as they came. Images without results have no predictions;
    ``index`` is −1, as the file does not know the proposals.

    Args:
        results: COCO's list of results, as ``to_coco`` makes it; segmentations may also
            have run lengths as numbers, or be polygons; other keys are ignored.
        truths: tell the images and their sizes.
        category_ids: the category of labels 1…C, in this order.

    Raises:
        ValueError: if a result lacks a key, is of an unknown image or category, has a
            score that is not finite, or no mask of the image's size.
    """
    if not isinstance(results, list):
        raise ValueError(f"expected a list of results, got a {type(results).__name__}")
    labels = {category: label for label, category in enumerate(category_ids, 1)}
    return _predictions(dict(enumerate(results)), _sizes(truths), labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicted:
    """The predictions of a data set in COCO's format, photos in the file's order.

    Args:
        names: of the photos.
        predictions: of each photo, best first.
        classes: names of labels 1…C, in the file's order.
    """

    names: list[str]
    predictions: list[Predictions]
    classes: tuple[str, ...]


def of_data_set(content: Any) -> Predicted:
    """Return what ``coco_data_set`` was given.

    Args:
        content: a data set in COCO's format whose annotations have scores.

    Raises:
        ValueError: if it is none, names a class twice, or as ``from_coco``.
    """
    if not isinstance(content, Mapping):
        raise ValueError(
            "expected a data set of images, annotations and categories, got a "
            f"{type(content).__name__}; predictions.json is one"
        )
    rows, photos = dict(enumerate(_rows(content))), _photos(content)
    categories = _names(content, "categories", "name")
    classes = tuple(categories.values())
    if again := [one for one, n in Counter(map(plain, classes)).items() if n > 1]:
        raise ValueError(f"expected every class once, got {few(again)} twice")
    sizes = {}
    for i, one in enumerate(content["images"]):
        size = one.get("height"), one.get("width")
        if not all(type(side) is int and side > 0 for side in size):
            raise ValueError(
                f"images[{i}]: expected height and width in pixels, got {size}"
            )
        sizes[one["id"]] = size
    labels = {number: label for label, number in enumerate(categories, 1)}
    found = [
        replace(one, classes=classes)
        for one in _predictions(rows, sizes, labels, empty=False)
    ]
    return Predicted(names=list(photos.values()), predictions=found, classes=classes)


def _sizes(truths: Sequence[GroundTruth]) -> dict[int, tuple[int, int]]:
    return {truth.image_id: truth.size for truth in truths}


def _predictions(
    results: Mapping[int, Any],
    sizes: Mapping[int, tuple[int, int]],
    labels: Mapping[int, int],
    *,
    empty: bool = True,
) -> list[Predictions]:
    """Return predictions of results by their place in a file, or the usable ones."""
    found: dict[int, list[tuple[float, int, Rle]]] = defaultdict(list)
    wrong, useless, outlines = [], [], Outlines()
    copies, seen = [], set()
    for i, result in results.items():
        try:
            _check(result, sizes, labels)
            size = sizes[result["image_id"]]
            check_segmentation(result["segmentation"], size)
        except ValueError as error:
            wrong.append(f"result {i}: {error}")
            continue
        shape = result["segmentation"]
        photo = str(result.get("file_name", f"photo {result['image_id']}"))
        mask = to_rle(shape, size)
        problem = emptiness(shape, size)
        if not (problem or rle.area(mask)):
            problem = "expected pixels, the mask has none"
        if problem:
            useless.append(f"result {i}: {problem}")
            if not empty:
                continue
        else:
            outlines.add(shape, f"result {i}", photo, size)
        label = labels[result["category_id"]]
        found[result["image_id"]].append((float(result["score"]), label, mask))
        same = result["image_id"], label, result["score"], mask["counts"]
        if same in seen and not problem:
            copies.append(f"result {i}")
        seen.add(same)
    if wrong:
        many = f"{len(wrong)} of {len(results)} results are wrong: "
        raise ValueError(f"{many if len(wrong) > 1 else ''}{few(wrong, '; ')}")
    if useless:
        warn(
            f"{len(useless)} of {len(results)} predictions have no usable mask, and "
            f"{'count as false positives' if empty else 'are left out'}: "
            f"{few(useless, '; ')}"
        )
    if copies:
        warn(
            f"{len(copies)} of {len(results)} predictions are listed before"
            f"{', and count as false positives' if empty else ''}: {few(copies)}; was "
            "a file joined with itself?"
        )
    if doubt := outlines.doubt():
        warn(doubt)
    predictions = []
    for image_id, size in sizes.items():
        best = sorted(found[image_id], key=lambda one: -one[0])
        predictions.append(
            Predictions.of_masks(
                image_id,
                size,
                [mask for _, _, mask in best],
                label=torch.tensor([label for _, label, _ in best], dtype=torch.long),
                score=torch.tensor([one for one, _, _ in best], dtype=torch.float64),
            )
        )
    return predictions


def results_of(data_set: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the annotations of ``coco_data_set`` as COCO's list of results.

    Each names its photo (``file_name``) and class (``category``) beside COCO's keys, as
    numbers are another file's own. Without a box on purpose: given one, pycocotools
    takes the box's area for the mask's.
    """
    names, photos = _names(data_set, "categories", "name"), _photos(data_set)
    trusted = {TRUSTED: True} if data_set["info"].get(TRUSTED) else {}
    return [
        {key: one[key] for key in KEYS}
        | trusted
        | {"file_name": photos[one["image_id"]], "category": names[one["category_id"]]}
        for one in data_set["annotations"]
    ]


def matched(
    content: Any, val: Annotated, category_ids: Sequence[int]
) -> tuple[list[Predictions], Annotated]:
    """Return the predictions of a file, and the half to measure them by.

    Photos are matched by file name, whatever their folder, and classes by name, where
    the file has names; else by the numbers of the validation half. Predictions on other
    photos and of other classes are left out, with a warning; warns, too, of photos
    without predictions, and of files that have changed since they were predicted.

    Args:
        content: what ``coco_data_set``, ``results_of`` or ``to_coco`` returned.
        val: the photos, and the objects on them. Where the file lists its classes, the
            half that is returned has these.
        category_ids: the half's own numbers of its classes.

    Raises:
        ValueError: as ``from_coco``; if no photo or class is the same, or a name may be
            that of several photos.
    """
    images, keys = val.tagged.images, list(_NAMES)
    if isinstance(content, Mapping):
        rows, named = _rows(content), Counter(_photos(content).values())
        if again := [name for name, ids in named.items() if ids > 1]:
            warn(
                f"{len(again)} photos are listed under several ids, and their "
                f"predictions are merged: {few(again)}"
            )
        classes = _names(content, "categories", "name").values()
        categories = list({plain(name): name for name in classes}.values())
        val = for_classes(val, categories, "the file of predictions")
        info = content.get("info")
        trusted = isinstance(info, Mapping) and bool(info.get(TRUSTED))
    elif not isinstance(content, list) or not content:
        if content == []:
            warn("there are no predictions in the file: every object counts as missed")
        return from_coco(content, val.truths, category_ids), val
    else:
        rows, keys = content, _named_by(content)
        named = Counter(one["file_name"] for one in rows if "file_name" in keys)
        trusted = any(isinstance(one, Mapping) and one.get(TRUSTED) for one in rows)
    if trusted:
        warn(
            "the photos were predicted with their tags known, so the figures flatter "
            "the run; predict with --no-trust-tags to measure it"
        )
    found = dict(enumerate(rows))
    if "file_name" in keys:
        ids = _same_photos(list(named), {one.id: one.name for one in images})
        there = set(ids.values())
        if isinstance(content, Mapping):
            _check_photos(content["images"], ids, val)
        found = {
            i: {**one, "image_id": ids[one["file_name"]]}
            for i, one in found.items()
            if one["file_name"] in ids
        }
    else:
        _tell_numbers(rows, val.tagged)
        numbered = [one.get("image_id") for one in rows if isinstance(one, Mapping)]
        there = {number for number in numbered if isinstance(number, int)}
    if missing := [one.name for one in images if one.id not in there]:
        hint = "; a list of results does not tell on which photos nothing was found"
        warn(
            f"{len(missing)} of {len(images)} photos are not in the file of "
            f"predictions, and count as without any: {few(missing)}"
            f"{hint if isinstance(content, list) else ''}"
        )
    numbers = {number: label for label, number in enumerate(category_ids, 1)}
    if "category" in keys:
        labels = {plain(name): i for i, name in enumerate(val.tagged.classes, 1)}
        names = {i: plain(one["category"]) for i, one in enumerate(rows)}
        if others := Counter(name for name in names.values() if name not in labels):
            warn(
                f"{others.total()} predictions are of classes that {val.tagged.name} "
                f"lacks ({few(list(others))}), and are left out"
            )
        found = {
            i: {**one, "category_id": labels[names[i]]}
            for i, one in found.items()
            if names[i] in labels
        }
        numbers = {label: label for label in labels.values()}
    elif "file_name" in keys:
        _tell_categories(category_ids, val.tagged)
    return _predictions(found, _sizes(val.truths), numbers), val


def coco_data_set(
    names: Sequence[str],
    predictions: Sequence[Predictions],
    classes: Sequence[str],
    category_ids: Sequence[int],
    info: dict[str, Any],
    paths: Sequence[str] = (),
    digests: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a COCO data set, ready for JSON, whose annotations are the predictions.

    An annotation has a ``score`` beside COCO's keys. All photos are listed.

    Args:
        names: file name of each photo.
        predictions: of each photo, in the same order.
        classes: names of labels 1…C.
        category_ids: their categories.
        info: written as it is.
        paths: the way to each photo from the file's folder, where that is known.
        digests: the SHA-256 of each photo's file, likewise.

    Raises:
        ValueError: if there are more or fewer names than predictions, or a label has
            no category.
    """
    images = []
    for name, found in zip(names, predictions, strict=True):
        height, width = found.size
        size = {"width": width, "height": height}
        images.append({"id": found.image_id, "file_name": name, **size})
    for image, path in zip(images, paths, strict=bool(paths)):
        image["path"] = path
    for image, digest in zip(images, digests, strict=bool(digests)):
        image["sha256"] = digest
    annotations = []
    for number, result in enumerate(to_coco(predictions, category_ids), 1):
        mask = result["segmentation"]
        box, area = rle.toBbox(mask).tolist(), int(rle.area(mask))
        own = {"bbox": box, "area": area, "iscrowd": 0}
        annotations.append({"id": number, **result, **own})
    numbered = zip(category_ids, classes, strict=True)
    return {
        "info": info,
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in numbered],
    }


def _rows(content: Mapping[str, Any]) -> list[Any]:
    """Return a data set's annotations with the names of their photo and class."""
    keys = "images", "annotations", "categories"
    if missing := [key for key in keys if not isinstance(content.get(key), list)]:
        raise ValueError(
            "expected a list of results, or a data set of predictions; it has no list "
            f"of {', '.join(missing)}"
        )
    photos, names = _photos(content), _names(content, "categories", "name")
    rows = []
    for i, one in enumerate(content["annotations"]):
        try:
            name, category = photos[one["image_id"]], names[one["category_id"]]
        except (KeyError, TypeError):
            raise ValueError(
                f"annotations[{i}]: expected image_id and category_id that the file "
                f"lists, got {str(one)[:60]}"
            ) from None
        if "score" not in one:
            raise ValueError(
                f"annotations[{i}] has no score; is this a file of true objects, not "
                "of predictions?"
            )
        rows.append({**one, "file_name": name, "category": category})
    return rows


def _photos(content: Mapping[str, Any]) -> dict[int, str]:
    return _names(content, "images", "file_name")


def _names(content: Mapping[str, Any], kind: str, key: str) -> dict[int, str]:
    try:
        found = {one["id"]: one[key] for one in content[kind]}
    except (KeyError, TypeError):
        raise ValueError(f"expected id and {key} in all {kind}") from None
    if len(found) < len(content[kind]):
        ids = Counter(one["id"] for one in content[kind])
        again = [repr(number) for number, count in ids.items() if count > 1]
        raise ValueError(f"expected {kind} with different ids, got {few(again)} twice")
    if wrong := [name for name in found.values() if not isinstance(name, str)]:
        raise ValueError(f"expected a name as {key} in all {kind}, got {wrong[0]!r}")
    return found


def _named_by(results: Sequence[Any]) -> list[str]:
    """Return the names that results have, of their photos and of their classes.

    Raises:
        ValueError: if some of them lack what others have.
    """
    has = [
        {key for key in _NAMES if isinstance(one.get(key), str)}
        if isinstance(one, Mapping)
        else set[str]()
        for one in results
    ]
    keys = [key for key in _NAMES if any(key in own for own in has)]
    if lacking := [str(i) for i, own in enumerate(has) if len(own) < len(keys)]:
        raise ValueError(
            f"expected {' and '.join(keys)} in every result, as in others; "
            f"{len(lacking)} lack them: results {few(lacking)}"
        )
    return keys


def _same_photos(photos: Sequence[str], known: Mapping[int, str]) -> dict[str, int]:
    """Return the number of each photo that a data set has, too.

    File names are the same; of several, folders decide, from the last one on.
    """
    named = defaultdict(list)
    for number, name in known.items():
        named[from_end(name)[0]].append(number)
    fits: dict[int, list[tuple[int, str]]] = defaultdict(list)
    unclear = []
    for photo in photos:
        parts = from_end(photo)
        ranked = [(alike(parts, from_end(known[i])), i) for i in named[parts[0]]]
        best = [i for alike, i in ranked if alike == max(ranked)[0]]
        if len(best) > 1:
            unclear.append(photo)
        elif best:
            fits[best[0]].append((max(ranked)[0], photo))
    found = {}
    for number, several in fits.items():
        best_photos = [photo for alike, photo in several if alike == max(several)[0]]
        unclear += best_photos[1:]
        found[best_photos[0]] = number
    if unclear:
        raise ValueError(
            f"the names of {len(unclear)} photos fit several photos: {few(unclear)}; "
            "give names with folders"
        )
    if not found:
        raise ValueError(
            f"expected photos of the data set ({few([*known.values()])}), got "
            f"predictions of {few(photos) or 'none'}"
        )
    if others := [photo for photo in photos if photo not in found]:
        warn(
            f"{len(others)} of {len(photos)} photos with predictions are not in the "
            f"data set, and are left out: {few(others)}"
        )
    return found


def _check_photos(
    photos: Sequence[Mapping[str, Any]], ids: Mapping[str, int], val: Annotated
) -> None:
    """Refuse predictions on photos of another size than those they are measured on.

    Warns of those whose files have changed since.
    """
    other, sizes = [], _sizes(val.truths)
    pairs = [(one, ids.get(one["file_name"])) for one in photos]
    both = [(one, number) for one, number in pairs if number is not None]
    for one, number in both:
        size = one.get("height"), one.get("width")
        if None not in size and size != sizes[number]:
            (height, width), (h, w) = size, sizes[number]
            other.append(f"{one['file_name']} ({height} x {width}, not {h} x {w})")
    if other:
        raise ValueError(
            f"{len(other)} photos are of another size (height x width) in the file of "
            f"predictions than in the data set: {few(other)}; predict the same photos"
        )
    loads = {one.id: one.load for one in val.tagged.images}
    known = [(one["file_name"], loads[n], one.get("sha256")) for one, n in both]
    tell_changed(known, "the file of predictions")


def _tell_numbers(results: Any, tagged: Tagged) -> None:
    """Warn where numbers may be those of ``wsis predict``, which counts by name."""
    numbers = [one.id for one in sorted(tagged.images, key=lambda one: one.name)]
    if results and sorted(numbers) == list(range(1, len(numbers) + 1)) != numbers:
        warn(
            "results without file_name are read by their numbers, as those of "
            f"{tagged.name}; wsis predict numbers photos in the order of their names: "
            "give its predictions.json"
        )


def _tell_categories(category_ids: Sequence[int], tagged: Tagged) -> None:
    """Warn where classes are known by numbers that any file may give to others."""
    count = len(category_ids)
    if count > 1 and sorted(category_ids) in ([*range(count)], [*range(1, count + 1)]):
        pairs = zip(category_ids, tagged.classes, strict=True)
        warn(
            "results without category are read by their numbers of classes, as those "
            f"of {tagged.name} ({few([f'{n} {c}' for n, c in pairs])}); if they were "
            "others' when they were predicted, add the names of classes as category"
        )


def _check(result: Any, sizes: Mapping[int, Any], labels: Mapping[int, int]) -> None:
    if not isinstance(result, Mapping):
        raise ValueError(f"expected an object, got {result!r}")
    missing = [key for key in KEYS if key not in result]
    if missing:
        raise ValueError(f"expected keys {', '.join(KEYS)}; missing {missing}")
    image_id, category = result["image_id"], result["category_id"]
    for key in KEYS[:2]:
        if type(result[key]) is not int:
            raise ValueError(f"expected a whole number as {key}, got {result[key]!r}")
    if image_id not in sizes:
        raise ValueError(f"image_id {image_id!r} is not in the ground truth")
    if category not in labels:
        raise ValueError(
            f"category_id {category!r} is unknown; expected one of {list(labels)}"
        )
    score = result["score"]
    if type(score) not in (int, float) or not -_MOST <= score <= _MOST:
        raise ValueError(f"expected a finite score, got {score!r:.60}")
