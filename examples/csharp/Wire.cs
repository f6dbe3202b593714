using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using Grpc.Net.Client;

namespace Tallystick.Example;

/// <summary>
/// gRPC over TLS, bytes out and bytes in: a generated client would serialize the message by itself, and a signature is over
/// the very bytes that are sent.
/// </summary>
sealed class Wire : IDisposable
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(5); // a call that may book something must have one
    static readonly Marshaller<byte[]> AsTheyAre = Marshallers.Create<byte[]>(bytes => bytes, bytes => bytes);

    readonly GrpcChannel channel;
    readonly CallInvoker invoker;

    public Wire(string target, string caFile)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(X509Certificate2.CreateFromPem(File.ReadAllText(caFile)));
        var handler = new SocketsHttpHandler();
        handler.SslOptions.CertificateChainPolicy = policy;
        // The till repeats calls itself, signed anew; a gateway that is back is found soon.
        channel = GrpcChannel.ForAddress($"https://{target}", new GrpcChannelOptions
        {
            HttpHandler = handler,
            DisposeHttpClient = true,
            InitialReconnectBackoff = TimeSpan.FromMilliseconds(100),
            MaxReconnectBackoff = TimeSpan.FromSeconds(1),
        });
        invoker = channel.CreateCallInvoker();
    }

    /// <summary>The path is the one that is signed, with its leading slash.</summary>
    /// <exception cref="RpcException">Whatever is not OK.</exception>
    public byte[] Call(string path, Metadata headers, byte[] body)
    {
        string[] parts = path.Split('/');
        var method = new Method<byte[], byte[]>(MethodType.Unary, parts[1], parts[2], AsTheyAre, AsTheyAre);
        return invoker.BlockingUnaryCall(method, null, new CallOptions(headers, DateTime.UtcNow + Deadline), body);
    }

    public void Dispose() => channel.Dispose();
}
