"""Every error a client can meet: a class with a status, a stable word and a title."""

from __future__ import annotations

import typing as t


class AilydianError(Exception):
    """An error with an answer ready for the client.

    Deliberately no ``HTTPException``: Flask would let the host's handler for
    the status code answer in its place.

    :param detail: One sentence on this very case; it may be shown to anybody.
    :param fields: Messages by field, for validation errors.
    :param retry_after: Seconds after which trying again makes sense.
    :param extra: Further members of the body.
    """

    status: t.ClassVar[int] = 500
    code: t.ClassVar[str] = "internal_error"
    title: t.ClassVar[str] = "Something went wrong on this server."
    #: Seconds after which trying again makes sense, unless the case knows better.
    retry: t.ClassVar[int | None] = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        fields: dict[str, t.Any] | None = None,
        retry_after: int | None = None,
        **extra: t.Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.fields = fields
        self.retry_after = self.retry if retry_after is None else retry_after
        self.extra = extra

    def body(self) -> dict[str, t.Any]:
        """Return the answer's body: the contract's shape, and RFC 9457's."""
        body: dict[str, t.Any] = {
            "success": False,
            "error": self.code,
            "status": self.status,
            "title": self.title,
        }
        if self.detail:
            body["detail"] = self.detail
        if self.fields:
            body["fields"] = self.fields
        return body | self.extra


class InvalidJSON(AilydianError):
    status = 400
    code = "invalid_json"
    title = "The body is not the JSON that this server accepts."


class InvalidBase64(AilydianError):
    status = 400
    code = "invalid_base64"
    title = "The text is not valid base64."


class InvalidInput(AilydianError):
    status = 400
    code = "invalid_input"
    title = "The input cannot be read."


class InvalidImage(InvalidInput):
    code = "invalid_image"
    title = "The image cannot be read."


class InvalidDicom(InvalidInput):
    code = "invalid_dicom"
    title = "The DICOM file cannot be read."


class UnknownTensor(InvalidInput):
    code = "unknown_tensor"
    title = "The model has no tensor of this name, or one that it has is missing."


class WrongShape(InvalidInput):
    code = "wrong_shape"
    title = "The tensor has another shape than the model's."


class WrongDatatype(InvalidInput):
    code = "wrong_datatype"
    title = "The tensor has another datatype than the model's."


class WrongSize(InvalidInput):
    code = "wrong_size"
    title = "The data has another size than shape and datatype say."


class Unauthenticated(AilydianError):
    status = 401
    code = "unauthenticated"
    title = "Sign in first."


class Forbidden(AilydianError):
    status = 403
    code = "forbidden"
    title = "You may not do this."


class NotFound(AilydianError):
    status = 404
    code = "not_found"
    title = "There is nothing here."


class ModelNotFound(NotFound):
    code = "model_not_found"
    title = "There is no such model."


class TestNotFound(NotFound):
    __test__: t.ClassVar[bool] = False
    code = "test_not_found"
    title = "There is no such A/B test."


class MethodNotAllowed(AilydianError):
    """The URL exists, the method does not; carries what is allowed."""

    status = 405
    code = "method_not_allowed"
    title = "This URL does not answer to this method."

    def __init__(self, allowed: t.Iterable[str]) -> None:
        super().__init__()
        self.allowed = tuple(sorted(allowed))


class Conflict(AilydianError):
    status = 409
    code = "conflict"
    title = "This clashes with what already exists."


class ImageTooLarge(AilydianError):
    status = 413
    code = "image_too_large"
    title = "The image is larger than this server accepts."


class TooManyPixels(AilydianError):
    status = 413
    code = "too_many_pixels"
    title = "The image has more pixels than this server accepts."


class BodyTooLarge(AilydianError):
    status = 413
    code = "body_too_large"
    title = "The request body is larger than this server accepts."


class UnsupportedMediaType(AilydianError):
    status = 415
    code = "unsupported_media_type"
    title = "This format is not accepted."


class ValidationFailed(AilydianError):
    status = 422
    code = "validation_failed"
    title = "The request is well formed, but its content is not right."


class ModelRefused(ValidationFailed):
    """A model file that will not be registered or loaded, with the reason."""

    code = "model_refused"
    title = "The model file is refused."


class Overloaded(AilydianError):
    status = 503
    code = "overloaded"
    title = "The server is busy."
    retry = 1


class BackendUnavailable(AilydianError):
    status = 503
    code = "backend_unavailable"
    title = "What should answer is not available."
    retry = 1


class BudgetExhausted(AilydianError):
    status = 429
    code = "budget_exhausted"
    title = "The budget for paid answers is used up."


class AuditUnavailable(BackendUnavailable):
    """No answer leaves unrecorded: the record could not be written."""

    title = "The answer could not be recorded, so it is not given."


class ModelFailed(AilydianError):
    status = 500
    code = "model_failed"
    title = "The model failed on this input."


class InternalError(AilydianError):
    pass


class Timeout(AilydianError):
    status = 504
    code = "timeout"
    title = "The deadline passed before the answer was ready."
    retry = 1


class ClientGone(AilydianError):
    """Nobody waits for the answer any more: the work was dropped, and is on record."""

    # No status of HTTP says this; nginx's has become the usual one.
    status = 499
    code = "client_gone"
    title = "The client closed the connection before the answer was ready."
