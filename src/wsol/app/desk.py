"""Uploaded pictures and the localizers that look at them: one thread works, the server waits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from wsol.app.cut import cut_again
from wsol.app.download import zip_formats
from wsol.app.pool import Pool
from wsol.app.shelf import Choice, Picture, Shelf, save_shown
from wsol.app.upload import Upload
from wsol.errors import ImageError

Result = TypeVar("Result")


class Desk:
    """What all routes work on.

    Args:
        pool: looks at pictures.
        shelf: keeps them.
        most_bytes: of one file.
    """

    def __init__(self, pool: Pool, shelf: Shelf, most_bytes: int) -> None:
        """Take its place."""
        self.pool, self.shelf, self.most_bytes = pool, shelf, most_bytes
        self.one = CapacityLimiter(1)

    async def work(self, job: Callable[[], Result]) -> Result:
        """Do a job in a thread when no other job is done."""
        return await run_sync(job, limiter=self.one)

    async def take(self, uploads: Sequence[Upload]) -> list[Picture | str]:
        """Keep uploaded files and look at them.

        Args:
            uploads: files; those that are not kept are removed.

        Returns:
            For each a picture, or why there is none.
        """
        answers: list[Picture | str] = []
        waiting = {upload.path: upload for upload in uploads}
        try:
            for upload in uploads:
                reason = await self._open(upload)
                answers.append("" if reason is None else reason)
            # All of them first, for localizers that want to see a collection.
            good = [upload for upload, reason in zip(uploads, answers, strict=True) if not reason]
            for position, upload in enumerate(uploads):
                if not answers[position]:
                    answers[position] = await self._keep(upload, good)
                    if isinstance(answers[position], Picture):
                        del waiting[upload.path]
        finally:
            for path in waiting:
                path.unlink(missing_ok=True)
                shown_path(path).unlink(missing_ok=True)
        return answers

    async def look(self, picture: Picture, choice: Choice) -> Picture:
        """Look at a picture again, in another way.

        Raises:
            ConfigError: no such way.
        """
        others = [each.path for each in self.shelf]

        def job() -> Picture:
            label = choice.label or _likeliest(picture.likely)
            found, threshold = self.pool.look(
                picture.path, picture.found.image_id, replace(choice, label=label), others
            )
            return replace(picture, found=found, choice=choice, threshold=threshold)

        again = await self.work(job)
        if picture.id in self.shelf.pictures:
            self.shelf.add(again)
        return again

    async def download(
        self,
        formats: Sequence[str],
        threshold: float | None,
        objects: Literal["one", "several"] | None,
    ) -> BinaryIO:
        """Return a zip of some formats, with the boxes of a threshold.

        Raises:
            ConfigError: no such format.
        """
        pictures, first = list(self.shelf), self.pool.first
        about = replace(
            first.about(self.shelf.folder),
            threshold=first.threshold if threshold is None else threshold,
            objects=objects or first.objects,
        )

        def job() -> BinaryIO:
            found = (
                cut_again(
                    each.found,
                    each.threshold if threshold is None else threshold,
                    objects or first.objects,
                )
                for each in pictures
            )
            return zip_formats(self.shelf.folder, pictures, found, about, formats)

        return await self.work(job)

    async def _open(self, upload: Upload) -> str | None:
        """Return why a file is not taken, or None: then there is a picture of it to show."""
        if upload.size > self.most_bytes:
            return f"larger than {self.most_bytes:,} bytes"
        shown, most = shown_path(upload.path), self.pool.config.max_pixels
        job = partial(save_shown, upload.path, shown, most)
        try:
            await self.work(job)
        except ImageError as error:
            return error.reason
        return None

    async def _keep(self, upload: Upload, good: Sequence[Upload]) -> Picture | str:
        reason = self.shelf.full()
        if reason is not None:
            return reason
        name = self.shelf.free_name(upload.name)
        others = list({each.path: each for each in (*self.shelf, *good)})

        def job() -> Picture | str:
            likely = self.pool.classify(upload.path)
            choice = Choice(label=_likeliest(likely))
            found, threshold = self.pool.look(upload.path, name, choice, others)
            if found.error is not None:
                return found.error.reason
            return Picture(
                id=upload.path.name,
                name=upload.name,
                path=upload.path,
                shown=shown_path(upload.path),
                found=found,
                likely=likely,
                choice=Choice(),
                threshold=threshold,
            )

        picture = await self.work(job)
        if isinstance(picture, Picture):
            self.shelf.add(picture)
        return picture


def shown_path(path: Path) -> Path:
    """Return the place of the JPEG that the page shows of a picture."""
    return path.with_suffix(".jpg")


def _likeliest(likely: Sequence[tuple[str, float]]) -> str | None:
    return likely[0][0] if likely else None
