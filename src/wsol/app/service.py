"""Localization of uploaded images in one thread, and downloads of its boxes."""

import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from wsol.app.config import AppConfig
from wsol.app.storage import Choice, ImageStore, StoredImage, Upload, save_shown
from wsol.errors import ImageError
from wsol.formats import PredictionInfo, check_format
from wsol.formats.convert import convert
from wsol.inference.fitting import MAX_FIT_IMAGES
from wsol.inference.localizer import Localizer
from wsol.inference.postprocess import rethreshold
from wsol.localizers import list_localizers
from wsol.localizers._layers import find_stages
from wsol.localizers.config import LocalizerConfig, localizer_options
from wsol.results.localization import Localization
from wsol.results.store import PredictionStore, PredictionWriter, encode_map
from wsol.types import is_distilled

MOST_LOCALIZERS = 4
"""That are kept, each with a network of its own; the one not used for the longest time goes."""

LIKELY = 5
"""Classes to choose from."""


@dataclass
class _Made:
    """A localizer, and how many images it has been shown first; None where it wants none."""

    locate: Localizer
    shown: int | None


class LocalizerCache:
    """Looks at images in any way that is chosen. It may be used by one thread at a time.

    Args:
        config: the options; its localizer is the one for images of which nothing was chosen.

    Attributes:
        first: that localizer.
        layers: names of modules to choose from.

    Raises:
        RunError: not a finished run.
        ConfigError: an option does not fit the network.
    """

    def __init__(self, config: AppConfig) -> None:
        """Load the network."""
        self.config = config
        self.made: dict[tuple[str | None, str], _Made] = {}
        self.first = self._find(Choice()).locate
        self.layers = [stage.layer for stage in find_stages(self.first.model)]

    def classify(self, path: Path) -> list[tuple[int, float]]:
        """Return numbers and probabilities of an image's likeliest classes, none if it is bad."""
        (likely,) = self.first.likely_labels([path], LIKELY)
        return likely

    def preprocessing(
        self, path: Path, name: str, choice: Choice, others: Sequence[Path] = ()
    ) -> tuple[Localization, float]:
        """Return what a localizer finds, and the threshold of its boxes.

        Args:
            path: of the image.
            name: its id in the result.
            choice: the localizer and the class; without one, what the network sees.
            others: images for a localizer that wants to see a collection first.

        Raises:
            ConfigError: no such localizer, layer or class, or they do not fit the network.
        """
        made = self._find(choice)
        # The more it has seen the better, up to a number that is enough.
        if made.shown is not None and made.shown < min(len(others), MAX_FIT_IMAGES):
            made.locate.fit(others)
            made.shown = len(others)
        (found,) = made.locate([path], [name], choice.label)
        return found, made.locate.threshold

    def _find(self, choice: Choice) -> _Made:
        key = choice.localizer, choice.layer
        made = self.made.pop(key, None) or self._make(choice)
        self.made[key] = made
        if len(self.made) > MOST_LOCALIZERS:
            # The one that the app was started with stays.
            oldest = next(each for each in self.made if each != (None, ""))
            del self.made[oldest]
        return made

    def _make(self, choice: Choice) -> _Made:
        localizer_config = localizer_options(self.config)
        if choice.localizer is not None:
            localizer_config = localizer_options(LocalizerConfig(choice.localizer)) | {
                "normalization": None
            }
        if choice.layer:
            localizer_config["layer"] = choice.layer
        own = choice.localizer is None
        locate = Localizer(
            self.config.run,
            backbone=self.config.backbone,
            **localizer_config,
            threshold=self.config.threshold if own else None,
            instances=self.config.instances,
            image_size=self.config.image_size,
            batch_size=1,
            max_pixels=self.config.max_pixels,
            precision=self.config.precision,
            device=self.config.device,
        )
        return _Made(locate, None if locate.is_fitted else 0)


def localizer_names() -> list[str]:
    """Return the names of localizers to choose from.

    >>> "cam" in localizer_names(), "psol" in localizer_names()
    (True, False)
    """
    # What is learnt by distilling is in the run that was distilled, or nowhere.
    return [name for name in list_localizers() if not is_distilled(name)]


PIECE = 1 << 16
"""Bytes that are sent at once."""


def zip_formats(
    folder: Path,
    stored: Sequence[StoredImage],
    found: Iterable[Localization],
    info: PredictionInfo,
    formats: Sequence[str],
) -> BinaryIO:
    """Return a zip file with what some formats write, open at its start and without a name.

    Args:
        folder: to work in; nothing stays there.
        stored: whose files are shown to formats that want them.
        found: what was found in them; each ``image_id`` is a relative path of its own.
        info: what they have in common, but for the folder of the images.
        formats: their names.

    Raises:
        ConfigError: no such format.
    """
    for name in formats:
        check_format(name)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        images, store, out = (Path(work, name) for name in ("images", "record", "out"))
        for each in (images, store, out):
            each.mkdir()
        for image in stored:
            place = images / image.found.image_id
            place.parent.mkdir(parents=True, exist_ok=True)
            # One that was removed meanwhile is missed by those formats alone that show it.
            with suppress(FileNotFoundError):
                place.hardlink_to(image.path)
        writer = PredictionWriter(store, replace(info, images=images))
        for result in found:
            writer.add(result)
        writer.close()
        convert(PredictionStore(store), out, formats)
        with ExitStack() as stack:
            # A file without a name is gone when it is closed, whatever happens.
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(out.rglob("*")):
                    if path.is_file():
                        archive.write(path, path.relative_to(out).as_posix())
            file.seek(0)
            stack.pop_all()
    return file


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's content and close it."""
    with file:
        while piece := file.read(PIECE):
            yield piece


Result = TypeVar("Result")


class InferenceService:
    """What all routes work on.

    Args:
        cache: looks at images.
        store: keeps them.
        most_bytes: of one file.
    """

    def __init__(self, cache: LocalizerCache, store: ImageStore, most_bytes: int) -> None:
        """Take its place."""
        self.cache, self.store, self.most_bytes = cache, store, most_bytes
        self.one = CapacityLimiter(1)

    async def work(self, job: Callable[[], Result]) -> Result:
        """Do a job in a thread when no other job is done; it is not waited for at the end."""
        return await run_sync(job, limiter=self.one, abandon_on_cancel=True)

    async def take(self, uploads: Sequence[Upload], choice: Choice) -> list[StoredImage | str]:
        """Keep uploaded files and look at them.

        Args:
            uploads: files; those that are not kept are removed.
            choice: how they are looked at.

        Returns:
            For each an image, or why there is none.

        Raises:
            ConfigError: no such way to look; no file is kept.
        """
        waiting = {upload.path for upload in uploads}
        try:
            # All of them first, for localizers that want to see a collection.
            reasons = [await self._open(upload) for upload in uploads]
            good = [up.path for up, reason in zip(uploads, reasons, strict=True) if reason is None]
            answers: list[StoredImage | str] = []
            for upload, reason in zip(uploads, reasons, strict=True):
                answer = reason or await self._keep(upload, choice, good)
                if isinstance(answer, StoredImage):
                    waiting.remove(upload.path)
                answers.append(answer)
        finally:
            for path in waiting:
                path.unlink(missing_ok=True)
                shown_path(path).unlink(missing_ok=True)
        return answers

    async def preprocessing(self, image: StoredImage, choice: Choice) -> StoredImage:
        """Look at an image again, in another way.

        Raises:
            ConfigError: no such way.
        """
        others = [each.path for each in self.store]
        found, threshold = await self.work(
            lambda: self._look(image.path, image.likely, choice, others)
        )
        again = replace(
            image,
            found=_without_map(found, image.found.image_id),
            heat_map=encode_map(found.heat_map),
            choice=choice,
            threshold=threshold,
        )
        if image.id in self.store.images:
            self.store.add(again)
        return again

    async def download(self, formats: Sequence[str], threshold: float | None) -> BinaryIO:
        """Return a zip of some formats.

        Args:
            formats: their names.
            threshold: of all boxes; default: the one that all images have, and where they differ
                that of the localizer that the app was started with.

        Raises:
            ConfigError: no such format.
        """
        images, first = list(self.store), self.cache.first
        info = first.info(self.store.folder)
        if threshold is None:
            # Formats know one for all: masks are made by it, and boxes must be theirs.
            own = {each.threshold for each in images}
            threshold = own.pop() if len(own) == 1 else info.threshold
        info = replace(info, threshold=threshold)

        def job() -> BinaryIO:
            found = (self._cut(each.whole(), info.threshold, each.choice) for each in images)
            return zip_formats(self.store.folder, images, found, info, formats)

        return await self.work(job)

    def _cut(self, found: Localization, threshold: float, choice: Choice) -> Localization:
        first = self.cache.first
        return rethreshold(
            found, threshold, choice.instances or first.instances, first.is_multi_label
        )

    def _look(
        self,
        path: Path,
        likely: Sequence[tuple[int, float]],
        choice: Choice,
        others: Sequence[Path],
    ) -> tuple[Localization, float]:
        # One class at a time: of several, one map could not say where the boxes of each are.
        label = likely[0][0] if choice.label is None else choice.label
        found, threshold = self.cache.preprocessing(
            path, path.name, replace(choice, label=label), others
        )
        if found.error is not None:
            raise found.error
        return self._cut(found, threshold, choice), threshold

    async def _open(self, upload: Upload) -> str | None:
        """Return why a file is not taken, or None: then there is an image of it to show."""
        if upload.size > self.most_bytes:
            return f"larger than {self.most_bytes:,} bytes"
        shown, most = shown_path(upload.path), self.cache.config.max_pixels
        job = partial(save_shown, upload.path, shown, most)
        try:
            await self.work(job)
        except ImageError as error:
            return error.reason
        return None

    async def _keep(
        self, upload: Upload, choice: Choice, good: Sequence[Path]
    ) -> StoredImage | str:
        reason = self.store.full()
        if reason is not None:
            return reason
        path = upload.path
        others = list(dict.fromkeys([*(each.path for each in self.store), *good]))

        def job() -> tuple[list[tuple[int, float]], Localization, float]:
            likely = self.cache.classify(path)
            return likely, *self._look(path, likely, choice, others)

        try:
            likely, found, threshold = await self.work(job)
        except ImageError as error:
            return error.reason
        # Others may have come meanwhile; from here on nothing comes between.
        reason = self.store.full()
        if reason is not None:
            return reason
        image = StoredImage(
            id=path.name,
            name=upload.name,
            path=path,
            shown=shown_path(path),
            found=_without_map(found, self.store.free_name(upload.name)),
            heat_map=encode_map(found.heat_map),
            likely=likely,
            choice=choice,
            threshold=threshold,
        )
        self.store.add(image)
        return image


def shown_path(path: Path) -> Path:
    """Return the place of the JPEG that the page shows of an image."""
    return path.with_suffix(".jpg")


def _without_map(found: Localization, name: str) -> Localization:
    # A part of the map would keep all of it in memory.
    return replace(found, image_id=name, heat_map=np.zeros((0, 0), np.float32))
