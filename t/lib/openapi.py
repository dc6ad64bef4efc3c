"""Judges HTTP exchanges by docs/openapi.yaml, for t/90_api.t.

Started with the file's name; says {"commands": [...], "faults": [...]} of the file itself. Then reads one JSON object a
line, {"command", "request" (text), "status", "type", "headers", "body" (text)}, and answers each with a line:
{"faults": [...], "request_valid": true or false}."""

import json
import sys

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

with open(sys.argv[1], encoding="utf-8") as file:
    DOCUMENT = yaml.safe_load(file)


def resolve(thing):
    """What a local reference stands for, where OpenAPI and not JSON Schema reads it."""
    while isinstance(thing, dict) and set(thing) == {"$ref"}:
        target = DOCUMENT
        for step in thing["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        thing = target
    return thing


def validator(schema):
    # References of a schema are to "#/components/…": of a document that the schema itself stands in.
    return Draft202012Validator({"allOf": [schema], "components": DOCUMENT["components"]})


def fault(schema, value):
    error = best_match(validator(schema).iter_errors(value))
    return error and f"{error.json_path}: {error.message[:300]}"


def references(thing):
    if isinstance(thing, dict):
        if isinstance(thing.get("$ref"), str):
            yield thing["$ref"]
        for value in thing.values():
            yield from references(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from references(value)


def check_document():
    """The rules of OpenAPI 3.1 that this file could break."""
    faults = []

    def expect(condition, why):
        if not condition:
            faults.append(why)

    expect(DOCUMENT.get("openapi", "").startswith("3.1."), "openapi is not 3.1")
    expect({"title", "version"} <= set(DOCUMENT.get("info", {})), "info has no title or version")
    allowed = {"openapi", "info", "servers", "security", "tags", "paths", "components", "jsonSchemaDialect", "webhooks"}
    expect(set(DOCUMENT) <= allowed, f"unknown members {set(DOCUMENT) - allowed}")
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    used = set()
    identifiers = []
    for path, item in DOCUMENT["paths"].items():
        expect(path.startswith("/") and set(item) == {"post"}, f"{path}: expected a path with post alone")
        operation = item["post"]
        known = {"operationId", "tags", "summary", "description", "requestBody", "responses"}
        expect(set(operation) <= known, f"{path}: unknown members {set(operation) - known}")
        identifiers.append(operation["operationId"])
        used |= set(operation["tags"])
        expect(operation["requestBody"]["required"], f"{path}: a body is required")
        for status, response in operation["responses"].items():
            expect(isinstance(status, str) and status.isdigit() and len(status) == 3, f"{path}: status {status!r}")
            response = resolve(response)
            expect("description" in response, f"{path} {status}: no description")
            expect(set(response) <= {"description", "headers", "content"}, f"{path} {status}: unknown members")
    expect(len(identifiers) == len(set(identifiers)), "operationIds are not unique")
    expect(used == tags, f"tags {used ^ tags} are not both declared and used")
    wanted = set(references(DOCUMENT))
    for reference in wanted:
        try:
            resolve({"$ref": reference})
        except KeyError:
            faults.append(f"{reference} leads nowhere")
    for name, schema in DOCUMENT["components"]["schemas"].items():
        try:
            Draft202012Validator.check_schema(schema)
        except Exception as error:  # pylint: disable=broad-except
            faults.append(f"schema {name}: {error}")
        expect(f"#/components/schemas/{name}" in wanted, f"schema {name} is not used")
    for requirement in DOCUMENT["security"]:
        expect(set(requirement) <= set(DOCUMENT["components"]["securitySchemes"]), f"unknown security {requirement}")
    return faults


def judge(exchange):
    faults = []
    operation = DOCUMENT["paths"]["/" + exchange["command"]]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    try:
        wrong = fault(schema, json.loads(exchange["request"]))
    except ValueError as error:
        wrong = str(error)
    described = operation["responses"].get(str(exchange["status"]))
    if described is None:
        return [f"status {exchange['status']} is not described"], wrong
    described = resolve(described)
    for name, header in described.get("headers", {}).items():
        value = exchange["headers"].get(name.lower())
        if value is None:
            faults.append(f"no header {name}")
        elif reason := fault(header["schema"], int(value)):
            faults.append(f"header {name}: {reason}")
    kind = exchange["type"].split(";")[0]
    content = described["content"].get(kind)
    if content is None:
        faults.append(f"media type {kind!r} is not described")
    elif kind == "application/json":
        reason = fault(content["schema"], json.loads(exchange["body"]))
        if reason:
            faults.append(reason)
    return faults, wrong


def main():
    commands = sorted(path[1:] for path in DOCUMENT["paths"])
    print(json.dumps({"commands": commands, "faults": check_document()}), flush=True)
    for line in sys.stdin:
        faults, wrong = judge(json.loads(line))
        print(json.dumps({"faults": faults, "request": wrong}), flush=True)


main()
