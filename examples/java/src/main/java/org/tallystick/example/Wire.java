package org.tallystick.example;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.concurrent.TimeUnit;

/**
 * gRPC over TLS, bytes out and bytes in: a generated stub would serialize the message by itself, and a signature is over the
 * very bytes that are sent.
 */
final class Wire implements AutoCloseable {
    private static final long DEADLINE_MS = 5_000; // a call that may book something must have one

    private final ManagedChannel channel;

    Wire(String target, File caFile) throws IOException {
        var credentials = TlsChannelCredentials.newBuilder().trustManager(caFile).build();
        // The till repeats calls itself, signed anew.
        channel = Grpc.newChannelBuilder(target, credentials).disableRetry().build();
    }

    /** The four entries that go with a signed call. */
    static Metadata signed(String keyId, String created, String nonce, byte[] signature) {
        Metadata headers = new Metadata();
        headers.put(Metadata.Key.of("tally-key-id", Metadata.ASCII_STRING_MARSHALLER), keyId);
        headers.put(Metadata.Key.of("tally-created", Metadata.ASCII_STRING_MARSHALLER), created);
        headers.put(Metadata.Key.of("tally-nonce", Metadata.ASCII_STRING_MARSHALLER), nonce);
        headers.put(Metadata.Key.of("tally-sig-bin", Metadata.BINARY_BYTE_MARSHALLER), signature);
        return headers;
    }

    /** Throws io.grpc.StatusRuntimeException. The path is the one that is signed, with its leading slash. */
    byte[] call(String path, Metadata headers, byte[] body) {
        MethodDescriptor<byte[], byte[]> method = MethodDescriptor.<byte[], byte[]>newBuilder()
                .setType(MethodDescriptor.MethodType.UNARY)
                .setFullMethodName(path.substring(1))
                .setRequestMarshaller(AS_THEY_ARE)
                .setResponseMarshaller(AS_THEY_ARE)
                .build();
        Channel attached = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(headers));
        var options = CallOptions.DEFAULT.withDeadlineAfter(DEADLINE_MS, TimeUnit.MILLISECONDS);
        return ClientCalls.blockingUnaryCall(attached, method, options, body);
    }

    /** A gateway that is back is found at once, however long it was away. */
    void connectAtOnce() {
        channel.resetConnectBackoff();
    }

    @Override
    public void close() {
        channel.shutdownNow();
    }

    private static final MethodDescriptor.Marshaller<byte[]> AS_THEY_ARE = new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] bytes) {
            return new ByteArrayInputStream(bytes);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    };
}
