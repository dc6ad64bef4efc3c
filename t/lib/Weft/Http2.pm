# As much of HTTP/2 (RFC 9113) as a test needs to say things that curl doesn't: frames by hand over a Weft::Client.
package Weft::Http2;
use v5.30;
use warnings;

use Exporter 'import';

use Weft::Client;

our @EXPORT_OK = qw(frame field h2_client frames_until get);

# RFC 9113 §4.1.
sub frame { my ($type, $flags, $stream, $payload) = @_; return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload }

# HPACK, RFC 7541 §6.2.2: a literal without indexing, neither part compressed.
sub field {
    my ($name, $value) = @_;
    my $length = length $value;
    # §5.1: an integer with a prefix of seven bits.
    my $said = $length < 127 ? chr $length : "\x7f" . do {
        my ($rest, $bytes) = ($length - 127, '');
        while ($rest > 127) { $bytes .= chr($rest & 127 | 128); $rest >>= 7 }
        $bytes . chr $rest;
    };
    return "\0" . chr(length $name) . $name . $said . $value;
}

# A connection that has said hello. What else Weft::Client->dial takes may be given.
sub h2_client {
    my (%to) = @_;
    my $client = Weft::Client->dial(%to);
    $client->raw_send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0, ''));
    return $client;
}

# The frame of a GET.
sub get {
    my ($stream, $path, @headers) = @_;
    my $fields = CORE::join '', field(':method', 'GET'), field(':scheme', 'http'), field(':path', $path), field(':authority', 'localhost');
    while (my ($name, $value) = splice @headers, 0, 2) { $fields .= field($name, $value) }
    return frame(1, 0x5, $stream, $fields);
}

# Frames up to one that fits: a list of [type, flags, stream, payload].
sub frames_until {
    my ($client, $fits, %options) = @_;
    my @frames;
    $client->_read_until(
        sub {
            while (length $client->{in} >= 9) {
                my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $client->{in};
                my $length = $high << 16 | $low;
                last if length $client->{in} < 9 + $length;
                push @frames, [ $type, $flags, $stream, substr $client->{in}, 9, $length ];
                substr($client->{in}, 0, 9 + $length) = '';
                return 1 if $fits->($frames[-1]);
            }
            return 0;
        },
        'a frame of HTTP/2', $options{timeout});
    return @frames;
}

1;
