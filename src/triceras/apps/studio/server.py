"""The studio's server: the page, and what the page asks for."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from triceras.apps.classifier import Classifier
from triceras.apps.strokes import digit_from_strokes, draw_strokes
from triceras.apps.studio import inside, offers
from triceras.apps.studio.folder import LIVE, RunsFolder
from triceras.apps.studio.guard import Guard, RequestError, body, is_local
from triceras.apps.studio.jobs import Jobs, subfolders
from triceras.apps.studio.shelf import Shelf
from triceras.core.errors import TricerasError
from triceras.visualization import grad_cam, saliency

PAGE = Path(__file__).parent / "page"
MOST_UPLOAD = 24 * 2**20  # bytes of a picture
MOST_JSON = 2**20
MOST_POINTS = 8_000  # of a drawing
FINE = 0.01  # of a drawing's size: a fifth of a pixel of MNIST, which needs no more
PEN = 0.072  # of the drawing area: the width of a line, as on the page
THREADS = 4  # requests that compute at once
MANY = 12  # classes from which on only the likeliest are sent in an order
DETAIL = 256  # rows or columns of a heat map

Handler = Callable[[Request], Awaitable[Response]]


class Studio:
    """The server's parts and its answers. Nothing here belongs to a user: each request brings what it needs.

    Args:
        runs: the runs folder.
        model: a model file to offer beside those of the runs.
        token: that requests must bring; a random one if not given.
        most: trainings at once.
    """

    def __init__(
        self,
        runs: Path,
        model: Path | None = None,
        token: str | None = None,
        most: int = 1,
    ) -> None:
        self.runs = RunsFolder(runs)
        self.shelf = Shelf(self.runs, model)
        self.jobs = Jobs(self.runs, most)
        self.token = token or token_urlsafe(24)

    @cached_property
    def limiter(self) -> CapacityLimiter:
        return CapacityLimiter(THREADS)

    async def aside(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result of work that takes a while, done in a thread."""
        return await to_thread.run_sync(work, *arguments, limiter=self.limiter)

    # -- pictures and models ---------------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        return JSONResponse({"models": await self.aside(self.shelf.listed)})

    async def model(self, request: Request) -> Response:
        def facts() -> dict[str, Any]:
            classifier = self.shelf.open(request.query_params.get("model", "")).classifier
            return {
                "classes": classifier.classes,
                "size": classifier.image_size,
                "channels": classifier.channels,
                "digits": classifier.reads_digits,
                "parameters": classifier.model.count_params(),
            }

        return JSONResponse(await self.aside(facts))

    async def predict(self, request: Request) -> Response:
        prepare = await picture(request)

        def answer() -> dict[str, Any]:
            opened = self.shelf.open(request.query_params.get("model", ""))
            image = prepare(opened.classifier)
            return answered(opened.classifier, image, opened.probabilities(image))

        return JSONResponse(await self.aside(answer))

    async def inside(self, request: Request) -> Response:
        prepare = await picture(request)

        def answer() -> dict[str, Any]:
            key, found = self.shelf.record(request.query_params.get("model", ""), prepare)
            probabilities = found.opened.probabilities(found.image)
            return {
                "key": key,
                **answered(found.opened.classifier, found.image, probabilities),
                "layers": inside.overview(found.steps),
            }

        return JSONResponse(await self.aside(answer))

    async def unit(self, request: Request) -> Response:
        asked = await fields(request, key=str, layer=int, channel=int, row=int, column=int)

        def answer() -> dict[str, Any]:
            steps = self.shelf.recording(asked["key"]).steps
            if not 0 <= asked["layer"] < len(steps):
                raise RequestError(404, f"The model has no layer {asked['layer']}.")
            try:
                return inside.unit(steps[asked["layer"]], asked["channel"], asked["row"], asked["column"])
            except IndexError as error:
                raise RequestError(404, str(error)) from None

        return JSONResponse(await self.aside(answer))

    async def why(self, request: Request) -> Response:
        asked = await fields(request, **{"key": str, "class": int, "method": str})

        def answer() -> dict[str, Any]:
            explain = {"grad-cam": grad_cam, "saliency": saliency}.get(asked["method"])
            if explain is None:
                raise RequestError(400, "`method` must be grad-cam or saliency.")
            found = self.shelf.recording(asked["key"])
            classifier = found.opened.classifier
            with found.opened.lock:
                heat = explain(classifier.model, classifier.inputs(found.image[None]), asked["class"])[0]
            heat = np.asarray(heat).reshape(found.image.shape[:2])
            step = max(1, -(-max(heat.shape) // DETAIL))
            return packed(np.round(255 * heat[::step, ::step]))

        return JSONResponse(await self.aside(answer))

    # -- trainings and runs ----------------------------------------------------------------------------------

    async def recipes(self, request: Request) -> Response:
        return JSONResponse({"recipes": await self.aside(offers.listed)})

    async def folders(self, request: Request) -> Response:
        asked = await fields(request, path=str)
        return JSONResponse(await self.aside(subfolders, Path(asked["path"] or Path.cwd())))

    async def start(self, request: Request) -> Response:
        asked = await fields(request, recipe=str, options=dict)
        arguments = await self.aside(offers.arguments, asked["recipe"], asked["options"])
        name = await self.aside(self.jobs.start, asked["recipe"], arguments)
        return JSONResponse({"name": name}, 201)

    async def listed(self, request: Request) -> Response:
        def answer() -> dict[str, Any]:
            running, found = set(self.jobs.running()), []
            for name in self.runs.names():
                # it may have been deleted since
                with suppress(RequestError):
                    found.append({**self.runs.summary(name), "own": name in running})
            return {"runs": found}

        return JSONResponse(await self.aside(answer))

    async def run(self, request: Request) -> Response:
        name = request.path_params["name"]

        def answer() -> dict[str, Any]:
            job = self.jobs.about(name)
            if (
                job["own"] and not self.runs.inside(name).is_dir()
            ):  # its folder comes when the data has been read
                found = {"name": name, "status": {"state": "preparing"}, "history": {}}
            else:
                found = self.runs.details(name)
            status = found["status"]
            if job["own"] and not job["alive"] and status["state"] in (*LIVE, "interrupted"):
                status["state"] = "failed" if job["output"] else "stopped"  # before it could say so
            # what it says is from before it went on
            elif job["alive"] and status.get("pid") != job["pid"]:
                status["state"] = "preparing"
            return {**found, "state": status["state"], "job": job}

        return JSONResponse(await self.aside(answer))

    async def stop(self, request: Request) -> Response:
        await self.aside(self.jobs.stop, request.path_params["name"])
        return JSONResponse({}, 202)

    async def resume(self, request: Request) -> Response:
        name = request.path_params["name"]

        def answer() -> None:
            recipe = str(self.runs.details(name)["settings"].get("recipe"))
            if recipe not in offers.RECIPES:
                raise RequestError(409, f"{name} doesn't say of which recipe it is, so it can't go on.")
            self.jobs.resume(name, recipe)

        await self.aside(answer)
        return JSONResponse({"name": name}, 202)

    async def run_picture(self, request: Request) -> Response:
        path = self.runs.picture(request.path_params["name"], request.path_params["file"])
        return FileResponse(path, media_type="image/png")

    # -- all of it -------------------------------------------------------------------------------------------

    def page(self, free: bool) -> Handler:
        """Answers with the page, which holds the token; to other machines only if they know it already."""
        text = (PAGE / "index.html").read_text(encoding="utf-8")

        async def answer(request: Request) -> Response:
            if not free and request.query_params.get("token") != self.token:
                return HTMLResponse(
                    "<p>Open the whole address that the terminal shows, with its token.</p>", 403
                )
            return HTMLResponse(text.replace('content="TOKEN"', f'content="{self.token}"'))

        return answer

    def app(self, host: str = "127.0.0.1") -> Guard:
        """The application, as served at an address."""

        @asynccontextmanager
        async def life(app: Starlette) -> AsyncIterator[None]:
            threading.Thread(target=self.warm, daemon=True).start()
            yield
            await to_thread.run_sync(self.jobs.close)

        routes = [
            Route("/", self.page(is_local(host))),
            Route("/api/models", self.models),
            Route("/api/model", self.model),
            Route("/api/predict", self.predict, methods=["POST"]),
            Route("/api/inside", self.inside, methods=["POST"]),
            Route("/api/inside/unit", self.unit, methods=["POST"]),
            Route("/api/inside/why", self.why, methods=["POST"]),
            Route("/api/recipes", self.recipes),
            Route("/api/folders", self.folders, methods=["POST"]),
            Route("/api/runs", self.listed),
            Route("/api/runs", self.start, methods=["POST"]),
            Route("/api/runs/{name}", self.run),
            Route("/api/runs/{name}/stop", self.stop, methods=["POST"]),
            Route("/api/runs/{name}/resume", self.resume, methods=["POST"]),
            Route("/api/runs/{name}/{file}", self.run_picture),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]
        handlers: dict[Any, Any] = {
            RequestError: lambda request, error: failed(error.status, error.message),
            TricerasError: lambda request, error: failed(422, str(error)),
            HTTPException: lambda request, error: failed(error.status_code, error.detail),
            Exception: unexpected,
        }
        return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=life), self.token, host)

    def warm(self) -> None:
        """Open the first model that can be opened, so that the page finds it ready."""
        for model in self.shelf.listed():
            with suppress(Exception):  # told when it is chosen
                self.shelf.open(model["id"])
                return


def failed(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


def unexpected(request: Request, error: Exception) -> JSONResponse:
    """Said in one line at the page; in full in the terminal."""
    return failed(500, f"Something went wrong: {type(error).__name__}. The terminal says more.")


async def fields(request: Request, **kinds: type) -> dict[str, Any]:
    """The members of a JSON object, each of its kind.

    Raises:
        RequestError: one is missing or of another kind.
    """
    try:
        data = json.loads(await body(request, MOST_JSON))
    except (ValueError, RecursionError):
        raise RequestError(400, "The request isn't JSON.") from None
    for name, kind in kinds.items():
        if not isinstance(data, dict) or type(data.get(name)) is not kind:
            raise RequestError(400, f"The request must have `{name}`, a {kind.__name__}.")
    return data


async def picture(request: Request) -> Callable[[Classifier], np.ndarray]:
    """What a request shows, strokes or the bytes of a picture, as a function that prepares it for a model."""
    if request.headers.get("content-type", "").startswith("application/json"):
        strokes = checked((await fields(request, strokes=list))["strokes"])
        centre = request.query_params.get("centre") == "1"
        return lambda classifier: drawn(classifier, strokes, centre)
    data = await body(request, MOST_UPLOAD, "The picture")
    return lambda classifier: classifier.prepare(data, "The picture")


def checked(strokes: list[Any]) -> list[np.ndarray]:
    """Strokes as arrays (n, 2) of places from 0 to 1.

    Raises:
        RequestError: they are something else, or too many.
    """
    wrong = RequestError(400, "`strokes` must be a list of strokes, each a list of [x, y] from 0 to 1.")
    if not all(isinstance(stroke, list) for stroke in strokes):
        raise wrong
    if sum(map(len, strokes)) > MOST_POINTS:
        raise RequestError(413, f"The drawing has too many points: at most {MOST_POINTS:,} are taken.")
    try:
        arrays = [np.asarray(stroke, "float64").reshape(len(stroke), 2) for stroke in strokes if stroke]
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if not arrays or not all(np.isfinite(a).all() for a in arrays):
        raise wrong
    return [a.clip(0, 1) for a in arrays]


def simplified(points: np.ndarray, tolerance: float) -> np.ndarray:
    """A stroke with fewer points, nowhere further than `tolerance` off (Douglas and Peucker, 1973)."""
    kept = np.zeros(len(points), bool)
    kept[[0, -1]] = True
    parts = [(0, len(points) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first > 1:
            chord, inner = points[last] - points[first], points[first + 1 : last] - points[first]
            along = np.clip(inner @ chord / max(chord @ chord, 1e-12), 0, 1)
            distance = np.hypot(*(inner - along[:, None] * chord).T)
            if distance.max() > tolerance:
                middle = first + 1 + int(distance.argmax())
                kept[middle] = True
                parts += [(first, middle), (middle, last)]
    return points[kept]


def drawn(classifier: Classifier, strokes: list[np.ndarray], centre: bool) -> np.ndarray:
    """A drawing prepared for a model, white on black; centred and scaled as MNIST's digits if asked for."""
    extent = np.ptp(np.concatenate(strokes), axis=0).max()
    strokes = [simplified(stroke, FINE * extent) for stroke in strokes]
    if centre:
        return classifier.prepare(digit_from_strokes(strokes), "The drawing")
    side = max(classifier.image_size)
    return classifier.prepare(draw_strokes(strokes, side, PEN * side), "The drawing")


def answered(classifier: Classifier, image: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Probabilities, and the picture as the network saw it."""
    answer: dict[str, Any] = {
        "classes": classifier.classes,
        "probabilities": inside.rounded(probabilities),
        "seen": {"channels": image.shape[-1], **packed(classifier.shown(image))},
    }
    if len(probabilities) > MANY:
        answer["order"] = np.argsort(-probabilities, kind="stable")[:10].tolist()
    return answer


def packed(values: np.ndarray) -> dict[str, Any]:
    """Bytes of (height, width, ...) for the page."""
    data = b64encode(values.astype("uint8").tobytes()).decode()
    return {"height": values.shape[0], "width": values.shape[1], "data": data}
