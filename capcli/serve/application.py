"""What the server answers: every path, and every error as JSON of one sentence."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capcli.errors import CapcliError
from capcli.files.json import dumps
from capcli.runs.observer import Observer
from capcli.serve.admission import Admission
from capcli.serve.captions import tell_captions
from capcli.serve.chat import read_chat, tell_chat, tell_model, tell_models
from capcli.serve.desk import Desk
from capcli.serve.guard import Guard
from capcli.serve.heatmaps import tell_heatmaps
from capcli.serve.metrics import CONTENT_TYPE, Metrics
from capcli.serve.options import ServeOptions
from capcli.serve.payload import JSON, check_count, read_object, read_payload
from capcli.serve.refusal import ClientLeft, Refused, refuse
from capcli.serve.wish import CAPTION, CHAT, HEATMAP, Sources, read_wish

_LEFT = 499
"""The status, in figures alone, of a request whose client did not wait."""

Handle = Callable[[Request], Awaitable[Response]]


def make_application(
    desk: Desk, options: ServeOptions, guard: Guard, metrics: Metrics, observer: Observer | None = None
) -> ASGIApp:
    """The application, whose lifespan is that of the desk.

    Args:
        desk: answers about pictures.
        options: the limits.
        guard: says who may ask.
        metrics: counts.
        observer: hears of what no client can have caused.
    """
    service = _Service(desk, options, metrics)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with desk:
            yield

    routes = [
        Route("/v1/captions", service.captions, methods=["POST"]),
        Route("/v1/heatmaps", service.heatmaps, methods=["POST"]),
        Route("/v1/chat/completions", service.chat, methods=["POST"]),
        Route("/v1/models", service.models),
        Route("/v1/models/{model:path}", service.model),
        Route("/healthz", service.health),
        Route("/metrics", service.metrics),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            Refused: _answer_refused, CapcliError: _answer_error, HTTPException: _answer_http, ClientLeft: _answer_left,
            Exception: _answer_fault,
        },
    )  # fmt: skip
    # A redirection would be an answer without a sentence.
    app.router.redirect_slashes = False
    return _Door(app, guard, metrics, {route.path for route in routes}, observer or Observer())


class _Service:
    """Answers requests."""

    def __init__(self, desk: Desk, options: ServeOptions, metrics: Metrics) -> None:
        self._desk, self._options, self._metrics = desk, options, metrics
        self._admission = Admission(options, lambda: desk.delay)
        self._since = int(time.time())
        metrics.watch(lambda: self._admission.count, lambda: desk.waiting)

    async def captions(self, request: Request) -> Response:
        return await self._answer(request, CAPTION, tell_captions)

    async def heatmaps(self, request: Request) -> Response:
        return await self._answer(request, HEATMAP, tell_heatmaps)

    async def chat(self, request: Request) -> Response:
        captioner, own = self._desk.captioner, self._desk.options
        with self._admission.enter(request):
            body = await self._admission.receive(request)
            content = await run_in_threadpool(read_object, request.headers.get("content-type", ""), body)
            chat = await run_in_threadpool(read_chat, content, own)
            check_count(chat.pictures, self._options.max_pictures)
            wish = read_wish(chat.fields, CHAT, captioner, own, typed=True)
            pictures = await self._admission.await_answer(request, self._desk.look(chat.pictures, wish))
        rows, columns = captioner.grid
        longest = wish.question.decoding.max_length
        answer, kind = tell_chat(pictures, chat, captioner.name, regions=rows * columns, longest=longest)
        return Response(answer, media_type=kind, headers={"Cache-Control": "no-store"})

    async def models(self, request: Request) -> Response:
        return _answer(tell_models(self._desk.captioner.name, self._since))

    async def model(self, request: Request) -> Response:
        name = self._desk.captioner.name
        if request.path_params["model"] != name:
            raise Refused(404, f"this server has one model, {name}")
        return _answer(tell_model(name, self._since))

    async def health(self, request: Request) -> Response:
        return _answer({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _answer(self, request: Request, sources: Sources, tell: Callable[..., dict[str, object]]) -> Response:
        captioner, own = self._desk.captioner, self._desk.options
        with self._admission.enter(request):
            body = await self._admission.receive(request)
            kind = request.headers.get("content-type", "")
            payload = await run_in_threadpool(read_payload, kind, body, self._options.max_pictures)
            wish = read_wish(payload.fields, sources, captioner, own, typed=payload.typed)
            self._desk.check_keywords(wish)
            pictures = await self._admission.await_answer(request, self._desk.look(payload.pictures, wish))
            # Drawing takes time, and this is the thread of all requests.
            return _answer(await run_in_threadpool(tell, pictures, wish, captioner.name))


class _Door:
    """Has the guard look at each request, counts it, and lets no error of any kind out.

    Args:
        app: answers.
        guard: says who may ask.
        metrics: counts.
        paths: that are told apart in figures.
        observer: hears of errors that nobody foresaw.
    """

    def __init__(self, app: ASGIApp, guard: Guard, metrics: Metrics, paths: set[str], observer: Observer) -> None:
        self._app, self._guard, self._metrics = app, guard, metrics
        self._paths, self._observer = paths, observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server starts or ends
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            try:
                self._guard.check(scope)
                await self._app(scope, receive, send_noted)
            except Refused as refused:
                await _refusal(refused)(scope, receive, send_noted)
            except Exception as error:  # its client has an answer by now, and the server goes on
                # Neither the message nor the values, which may hold a part of a picture.
                self._observer.warn(f"a request failed: {_describe(error)}; please report this")
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.count_request(path, status or _LEFT, time.monotonic() - begun)


def _describe(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"
    return f"{type(error).__name__}{place}"


def _answer(content: object) -> Response:
    return Response(dumps(content), media_type=JSON, headers={"Cache-Control": "no-store"})


def _refusal(refused: Refused) -> Response:
    return Response(refused.content, refused.status, refused.headers, media_type=JSON)


def _answer_refused(request: Request, error: Any) -> Response:
    return _refusal(error)


def _answer_error(request: Request, error: Any) -> Response:
    return _refusal(refuse(error))


def _answer_left(request: Request, error: Exception) -> Response:
    return Response(status_code=_LEFT)  # which nobody gets


def _answer_fault(request: Request, error: Exception) -> Response:
    return _refusal(Refused(500, "the server made a mistake; its stderr says where"))


def _answer_http(request: Request, error: Any) -> Response:
    sentences = {404: "there is nothing at this path", 405: "this path takes another method"}
    answer = _refusal(Refused(error.status_code, sentences.get(error.status_code, str(error.detail))))
    answer.headers.update(error.headers or {})
    return answer
