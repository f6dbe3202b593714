PROTOS := $(wildcard protos/tallystick/v1/*.proto)
stubs:
	.venv/bin/python -m grpc_tools.protoc -I protos --plugin=protoc-gen-mypy=.venv/bin/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=.venv/bin/protoc-gen-mypy_grpc --python_out=protos --mypy_out=protos --grpc_python_out=protos --mypy_grpc_out=protos $(PROTOS)
