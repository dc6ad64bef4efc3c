# An HTTP request of a test whose answer may go on and on: over HTTP/1.1 on a socket of our own, over HTTP/2 by curl.
#
# What is returned is a Weft::Client as far as bytes are concerned.
package Weft::Door::Http;
use v5.30;
use warnings;

use JSON::PP ();

use Weft::Client;

# version (1 or 2), port, path, method, headers => [Name => value, …], receive_buffer, body.
sub begin {
    my ($class, %how) = @_;
    my $method  = $how{method} // 'GET';
    my @headers = @{ $how{headers} // [] };
    return _curl($method, \@headers, %how) if ($how{version} // 1) == 2;
    my $wire = $how{wire} // Weft::Client->dial(port => $how{port}, $how{receive_buffer} ? (receive_buffer => $how{receive_buffer}) : ());
    $wire->raw_send(request($method, $how{path}, $how{body}, @headers)) or die "the server takes no request\n";
    return $wire;
}

# A request of HTTP/1.1 as bytes.
sub request {
    my ($method, $path, $body, @headers) = @_;
    my $bytes = "$method $path HTTP/1.1\r\nHost: localhost\r\n";
    while (my ($name, $value) = splice @headers, 0, 2) { $bytes .= "$name: $value\r\n" }
    $bytes .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
    return "$bytes\r\n" . ($body // '');
}

sub _curl {
    my ($method, $headers, %how) = @_;
    my @command = ('curl', '-sN', '--http2-prior-knowledge', '-D', '-', '-X', $method);
    my @all     = @$headers;
    while (my ($name, $value) = splice @all, 0, 2) { push @command, '-H', "$name: $value" }
    push @command, '-d', $how{body} if defined $how{body};
    my $pid = CORE::open(my $pipe, '-|', @command, "http://127.0.0.1:$how{port}$how{path}") or die "curl: $!\n";
    $pipe->blocking(0);
    return bless { socket => $pipe, in => '', child => $pid, backlog => [] }, 'Weft::Door::Curl';
}

# The head of the answer if it has come, {status, version, headers}; else undef.
sub head {
    my ($wire) = @_;
    $wire->{in} =~ s/^(HTTP.*?)\r\n\r\n//s or return;
    my ($line, @lines) = split /\r\n/, $1;
    my ($version, $status) = $line =~ m{^HTTP/([\d.]+) (\d+)} or die "no answer of HTTP: $line\n";
    my %headers;
    for (@lines) {
        my ($name, $value) = split /:\s*/, $_, 2;
        $headers{ lc $name } = defined $headers{ lc $name } ? "$headers{ lc $name }, $value" : $value;
    }
    return { status => $status, version => $version, headers => \%headers };
}

# Waits for the head.
sub await_head {
    my ($wire) = @_;
    my $head;
    $wire->_read_until(sub { $head = head($wire) }, 'an answer');
    return $head // die "the connection ended before an answer\n";
}

# The body of an answer that has an end, if it has come whole; else undef. It is taken off.
sub whole_body {
    my ($wire, $head) = @_;
    return '' if $head->{status} == 204;
    my $length = $head->{headers}{'content-length'};
    if (defined $length) {
        return if length $wire->{in} < $length;
        return substr $wire->{in}, 0, $length, '';
    }
    return unless $wire->{eof};
    return substr $wire->{in}, 0, length $wire->{in}, '';
}

# What a refused request was told; dies unless it is as every refusal is: JSON with code, reason and message.
sub refusal {
    my ($wire, $head) = @_;
    my $body;
    $wire->_read_until(sub { defined($body = whole_body($wire, $head)) }, "the answer's body");
    $body //= whole_body($wire, $head) // die "the answer's body is cut\n";
    my $said = eval { JSON::PP->new->utf8->decode($body) } or die "status $head->{status}, and no JSON: $body\n";
    die "a refusal without code, reason or message: $body\n" if grep { !length($said->{$_} // '') } qw(code reason message);
    return Weft::Door::Refusal->new(%$said, status => $head->{status}, headers => $head->{headers});
}

# The query of a request that listens to these channels.
sub query {
    my (@channels) = @_;
    return '?' . join '&', map { 'channel=' . s/([^A-Za-z0-9_.~:\/@-])/sprintf '%%%02X', ord $1/ger } @channels;
}

sub credentials { my ($ticket) = @_; return defined $ticket ? (Authorization => "Bearer $ticket") : () }

package Weft::Door::Curl;
use v5.30;
use warnings;

our @ISA = ('Weft::Client');

# Closing the pipe waits for curl, which has to be told first.
sub hang_up {
    my ($self) = @_;
    my $child = delete $self->{child} or return;
    kill 'TERM', $child;
    CORE::close delete $self->{socket};
    return;
}

sub DESTROY { local $?; $_[0]->hang_up }

1;
