# A WebSocket client for tests: Protocol::WebSocket speaks the protocol, and every byte can be had and sent raw.
#
# Calls that wait die with a description when what they wait for doesn't come in time; `check` of Weft::Test turns that
# into a failed test.
package Weft::Client;
use v5.30;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP ();
use Protocol::WebSocket::Frame;
use Protocol::WebSocket::Handshake::Client;
use Weft::Protobuf;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM SOL_SOCKET SO_LINGER SO_RCVBUF);
use Time::HiRes qw(time);

our $TIMEOUT = $ENV{WEFT_TIMEOUT} // 20;    # seconds, for whatever is waited for
our %OPCODE  = (continuation => 0, text => 1, binary => 2, close => 8, ping => 9, pong => 10);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# ---- connecting ------------------------------------------------------------------------------------------------------

# A connection without handshake. Where to: port => N [host => '127.0.0.1'], or unix => PATH, or tls => 1 as well.
# receive_buffer => BYTES makes a reader that fills up early; first => BYTES are sent before all else (a proxy's header);
# alpn => LIST is what TLS offers; cert and cert_key are files of the client's own certificate.
sub dial {
    my ($class, %to) = @_;
    my $socket;
    my $child;
    if ($to{tls}) {
        ($socket, $child) = _dial_tls(%to);
    }
    elsif (defined $to{unix}) {
        $socket = IO::Socket::UNIX->new(Peer => $to{unix}) or die "connect to $to{unix}: $!\n";
    }
    else {
        my $host = $to{host} // '127.0.0.1';
        $socket = IO::Socket::IP->new(
            PeerHost => $host,
            PeerPort => $to{port},
            Type     => SOCK_STREAM,
            ($to{receive_buffer} ? (Sockopts => [ [ SOL_SOCKET, SO_RCVBUF, $to{receive_buffer} ] ]) : ()),
        ) or die "connect to $host:$to{port}: $!\n";
    }
    $socket->blocking(0);
    my $self = bless { socket => $socket, in => '', backlog => [], to => \%to, child => $child, next_id => 1 }, $class;
    $self->{frames} = Protocol::WebSocket::Frame->new(max_payload_size => 0);
    $self->raw_send($to{first}) if defined $to{first};
    return $self;
}

# openssl's client at the other end of a socket pair: TLS without a Perl module for it.
sub _dial_tls {
    my (%to) = @_;
    my ($near, $far) = IO::Socket->socketpair(AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!\n";
    my $host = $to{host} // '127.0.0.1';
    my $pid  = fork // die "fork: $!\n";
    if (!$pid) {
        CORE::open STDIN,  '<&', $far;
        CORE::open STDOUT, '>&', $far;
        CORE::open STDERR, '>',  '/dev/null';
        no warnings 'exec';
        exec 'openssl', 's_client', '-quiet', '-connect', "$host:$to{port}", '-servername', $to{sni} // 'localhost',
            '-CAfile', $to{ca}, '-verify_return_error', defined $to{alpn} ? ('-alpn', $to{alpn}) : (),
            defined $to{cert} ? ('-cert', $to{cert}, '-key', $to{cert_key}) : ();
        require POSIX;
        POSIX::_exit(127);
    }
    CORE::close $far;
    return ($near, $pid);
}

# Connects and shakes hands; dies unless the answer is 101. Besides what dial takes: path, ticket (sent as a bearer
# header), headers => [Name => value, …], protocols => 'a, b', origin.
sub open {
    my ($class, %to) = @_;
    my $self      = $class->dial(%to);
    my $handshake = Protocol::WebSocket::Handshake::Client->new(
        url => 'ws://' . ($to{authority} // 'localhost:' . ($to{port} // 80)) . ($to{path} // '/ws'));
    $to{protocols} //= $ENV{WEFT_TEST_CODEC};    # what a file asks for that has others run again in another codec
    $handshake->req->subprotocol($to{protocols}) if defined $to{protocols};
    $handshake->req->origin($to{origin}) if defined $to{origin};
    my @headers = @{ $to{headers} // [] };
    unshift @headers, Authorization => "Bearer $to{ticket}" if defined $to{ticket};
    while (my ($name, $value) = splice @headers, 0, 2) {
        push @{ $handshake->req->{headers} }, $name, $value;
    }
    $self->raw_send($handshake->to_string);

    # The answer's headers are read apart: frames may come in the same segment, and must not be lost in the parser.
    $self->_read_until(sub { $self->{in} =~ /\r\n\r\n/ }, 'an answer to the handshake');
    $self->{in} =~ s/^(.*?\r\n\r\n)//s or die "the connection ended before an answer to the handshake: '$self->{in}'\n";
    my $answer = $1;
    $self->{answer} = $answer;
    my $status = ($answer =~ m{^HTTP/1\.1 (\d+)})[0] // 0;
    die "the handshake was answered with: $answer\n" if $status != 101;
    $handshake->parse($answer);
    $self->{binary} = $self->{answer} =~ /^Sec-WebSocket-Protocol: weft\.v1\.protobuf\r$/mi;
    @$self{qw(sent received)} = (0, length $self->{in});
    die 'the handshake is not valid: ' . ($handshake->error // 'incomplete') . "\n$answer\n" unless $handshake->is_done;
    return $self;
}

# As open, and reads the first frame, which must be connection_established.
sub join {
    my ($class, %to) = @_;
    my $self  = $class->open(%to);
    my $first = $self->next_message;
    die "the first frame is: $first->{raw}\n" if ($first->{type} // '') ne 'connection_established';
    $self->{greeting} = $first->{payload};
    return $self;
}

sub greeting { $_[0]{greeting} }
sub answer   { $_[0]{answer} }     # status line and headers
sub socket   { $_[0]{socket} }

sub local_port { $_[0]{socket}->sockport }

# Bytes since the handshake's end.
sub sent     { $_[0]{sent} }
sub received { $_[0]{received} }

# ---- bytes -----------------------------------------------------------------------------------------------------------

sub raw_send {
    my ($self, $bytes, %options) = @_;
    my $until = time + ($options{timeout} // $TIMEOUT);
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $sent = syswrite $self->{socket}, $bytes;
        if (defined $sent) {
            $self->{sent} += $sent;
            substr($bytes, 0, $sent) = '';
            next;
        }
        next if $! == EINTR;
        return 0 unless $! == EAGAIN || $! == EWOULDBLOCK;
        my $left = $until - time;
        die "the server takes no bytes\n" if $left <= 0;
        IO::Select->new($self->{socket})->can_write($left);
    }
    return 1;
}

# What has arrived and was not read yet, plus what arrives within $seconds; false once nothing came and the end is known.
sub _fill {
    my ($self, $seconds) = @_;
    return 0 if $self->{eof};
    return 1 unless IO::Select->new($self->{socket})->can_read($seconds);
    my $got = sysread $self->{socket}, my $bytes, 262144;
    if ($got) {
        $self->{received} += $got;
        $self->{in} .= $bytes;
        return 1;
    }
    return 1 if !defined $got && ($! == EAGAIN || $! == EINTR);
    $self->{eof} = defined $got ? 'end' : "$!";
    return 0;
}

sub _read_until {
    my ($self, $done, $what, $seconds) = @_;
    my $until = time + ($seconds // $TIMEOUT);
    until ($done->()) {
        my $left = $until - time;
        die "waited in vain for $what\n" if $left <= 0;
        last unless $self->_fill($left);
    }
    return;
}

# Everything up to the connection's end.
sub read_all {
    my ($self, %options) = @_;
    $self->_read_until(sub { $self->{eof} }, "the connection's end", $options{timeout});
    my $all = $self->{in};
    $self->{in} = '';
    return $all;
}

# How the connection ended: 'end', an errno's text, or undef while it is open.
sub eof { $_[0]{eof} }

# Whether the server is seen to have ended the connection by now, without waiting.
sub is_open {
    my ($self) = @_;
    while (!$self->{eof} && IO::Select->new($self->{socket})->can_read(0)) { $self->_fill(0) }
    return !$self->{eof};
}

# Whether the server still takes bytes, as far as is known without waiting.
sub is_open_for_writing {
    my ($self) = @_;
    return defined $self->{socket} && getpeername($self->{socket}) ? 1 : 0;
}

# ---- frames ----------------------------------------------------------------------------------------------------------

# A client's frame as bytes. Defaults: final, masked with a random key. Options: fin, rsv (0 to 7), mask => 0 (leaves the
# frame unmasked), length (lies about the length), length_bytes => 1|2|8 (an encoding longer than need be).
sub frame_bytes {
    my ($opcode, $payload, %options) = @_;
    $opcode = $OPCODE{$opcode} // $opcode;
    my $length = $options{length}       // length $payload;
    my $size   = $options{length_bytes} // ($length < 126 ? 1 : $length < 65536 ? 2 : 8);
    my $masked = ($options{mask}        // 1) ? 0x80 : 0;
    my $bytes  = pack 'C', (($options{fin} // 1) ? 0x80 : 0) | (($options{rsv} // 0) << 4) | $opcode;
    $bytes .=
          $size == 1 ? pack('C',   $masked | $length)
        : $size == 2 ? pack('Cn',  $masked | 126, $length)
        :              pack('CQ>', $masked | 127, $length);
    if ($masked) {
        my $key = pack 'N', int rand 2**32;
        $bytes .= $key;
        $payload = $payload ^. substr($key x (length($payload) / 4 + 1), 0, length $payload);
    }
    return $bytes . $payload;
}

# A frame that Protocol::WebSocket writes.
sub send_frame {
    my ($self, $type, $payload) = @_;
    my $frame = Protocol::WebSocket::Frame->new(
        type => $type, buffer => $payload, masked => 1, max_payload_size => 0);
    return $self->raw_send($frame->to_bytes);
}

sub send_text { $_[0]->send_frame(text => $_[1]) }

# Lets compressed messages come: next_frame then says {compressed} of them, and leaves them as they are.
sub allow_compressed { my ($self) = @_; $self->{allow_compressed} = 1; return $self }

# The next frame, of whatever kind: {opcode, payload}; undef when the connection ended before one.
sub next_frame {
    my ($self, %options) = @_;
    my $frames = $self->{frames};
    my $until  = time + ($options{timeout} // $TIMEOUT);
    while (1) {
        $frames->append($self->{in});    # takes it
        my $held = $frames->{buffer};
        # A long frame's header is kept from the parser until it is whole: 0.26 reads a cut 64-bit length.
        my $cut     = length $held > 1 && (ord(substr $held, 1, 1) & 0x7f) == 127 && length $held < 10;
        my $payload = $cut ? undef : $frames->next_bytes;
        if (defined $payload) {
            die "the server sent a masked frame\n"              if $frames->masked;
            my @reserved   = @{ $frames->rsv };
            my $compressed = $self->{allow_compressed} && $frames->opcode < 8 && shift @reserved;
            die "the server sent a frame with reserved bits\n"  if grep { $_ } @reserved;
            die "the server sent a fragment\n"                  if !$frames->fin || $frames->opcode == 0;
            $self->{closed} = 1 if $frames->opcode == 8;
            return { opcode => $frames->opcode, payload => $payload, compressed => !!$compressed };
        }
        my $left = $until - time;
        if ($left <= 0) {
            return if $options{quiet};
            die "waited in vain for a frame\n";
        }
        if (!$self->_fill($left)) {
            die "the connection ended in the middle of a frame\n" if length $frames->{buffer} && !$options{quiet};
            return;
        }
    }
}

# ---- messages --------------------------------------------------------------------------------------------------------

sub encode { $json->encode($_[1]) }

# Of any codec: to a client of weft.v1.protobuf such a message, which it has in the shape of JSON.
sub send_json {
    my ($self, $message) = @_;
    return $self->send_frame(binary => Weft::Protobuf::encode($message)) if $self->{binary};
    return $self->send_text($json->encode($message));
}

# Publishes JSON text as it is, without an id.
sub publish_json {
    my ($self, $channel, $data) = @_;
    return $self->send_frame(binary => Weft::Protobuf::publication($channel, $data)) if $self->{binary};
    return $self->send_text(qq({"type":"publish","payload":{"channel":"$channel","data":$data}}));
}

# The next JSON message, decoded, its bytes under `raw`; pings on the way are answered (pong => 0 leaves them alone).
sub next_message {
    my ($self, %options) = @_;
    return shift @{ $self->{backlog} } if @{ $self->{backlog} };
    return $self->_read_message(%options);
}

sub _read_message {
    my ($self, %options) = @_;
    my $text = $self->next_text(%options) // return;
    return $self->_decode($text);
}

sub _decode {
    my ($self, $text) = @_;
    my $message = eval { $self->{binary} ? Weft::Protobuf::decode($text) : $json->decode($text) }
        or die "the server sent what is not in its codec: $text\n$@";
    $message->{raw} = $self->{binary} ? $json->encode($message) : $text;
    return $message;
}

# The bytes of the next text frame; what `expect` put aside doesn't count. For large ones, which JSON::PP is slow at.
sub next_text {
    my ($self, %options) = @_;
    my $until = time + ($options{timeout} // $TIMEOUT);
    while (1) {
        my $left  = $until - time;
        my $frame = $self->next_frame(%options, timeout => $left < 0 ? 0 : $left);
        if (!$frame) {
            return if $options{quiet};
            die 'the connection ended (' . ($self->{eof} // '?') . ") while a message was waited for\n";
        }
        if ($frame->{opcode} == 9) {
            $self->send_frame(pong => $frame->{payload}) unless $self->{silent};
            next;
        }
        next if $frame->{opcode} == 10;
        if ($frame->{opcode} == 8) {
            $self->{close_frame} = $frame;
            return if $options{quiet};
            die 'the server closed with ' . _show_close($frame) . " while a message was waited for\n";
        }
        die "the server sent a frame with opcode $frame->{opcode}\n" if $frame->{opcode} != ($self->{binary} ? 2 : 1);
        return $frame->{payload};
    }
}

# The next message of this type (a pattern or a name), and with this id if one is given. Others that come before it are
# kept for later calls. An error frame with the id asked for is returned too when `$type` is 'reply'.
sub expect {
    my ($self, $type, $id, %options) = @_;
    my $fits = sub {
        my ($message) = @_;
        return 0 if defined $id && ($message->{id} // '') ne $id;
        return 1 if $type eq 'reply';
        return $message->{type} eq $type;
    };
    my $backlog = $self->{backlog};
    for my $i (0 .. $#$backlog) {
        return splice @$backlog, $i, 1 if $fits->($backlog->[$i]);
    }
    my $what  = $type . (defined $id ? " with id $id" : '');
    my $until = time + ($options{timeout} // $TIMEOUT);
    while (1) {
        my $left    = $until - time;
        my $message = eval { $self->_read_message(%options, timeout => $left < 0 ? 0 : $left) };
        if (!$message) {
            return if $options{quiet};
            my $why  = $@ || "nothing came\n";
            my $kept = CORE::join ', ', map { $_->{raw} } @$backlog[0 .. ($#$backlog > 4 ? 4 : $#$backlog)];
            die "$what: $why" . ($kept ? "came instead: $kept\n" : '');
        }
        return $message if $fits->($message);
        push @$backlog, $message;
    }
}

# Sends a command with an id and returns its answer, whatever that is.
sub call {
    my ($self, $type, %payload) = @_;
    my $id = 'c' . $self->{next_id}++;
    $self->send_json({ type => $type, id => $id, payload => \%payload });
    return $self->expect('reply', $id);
}

# As call, and dies on an error.
sub must {
    my ($self, $type, %payload) = @_;
    my $answer = $self->call($type, %payload);
    die "$type was answered: $answer->{raw}\n" if $answer->{type} eq 'error';
    return $answer->{payload};
}

sub subscribe { my ($self, $channel, %more) = @_; $self->must('subscribe', channel => $channel, %more) }

# The next event's payload, with the event's bytes under `raw`.
sub event {
    my ($self, %options) = @_;
    my $event = $self->expect('event', undef, %options) // return;
    $event->{payload}{raw} = $event->{raw};
    return $event->{payload};
}

# Everything that the server sent up to now: a ping command is answered after whatever was written before it. Returns
# the messages that came in between and those kept before.
sub drain {
    my ($self) = @_;
    $self->call('ping');
    my @all = @{ $self->{backlog} };
    $self->{backlog} = [];
    return @all;
}

# ---- the end ---------------------------------------------------------------------------------------------------------

sub close {
    my ($self, $code, $reason) = @_;
    $self->send_frame(close => defined $code ? pack('n', $code) . ($reason // '') : '');
    return;
}

# Closes politely, and returns how the server answered, as read_close.
sub leave {
    my ($self) = @_;
    $self->close(1000);
    my $close = $self->read_close;
    $self->hang_up;
    return $close;
}

# Reads until the connection ends: {code, reason, clean, messages}. `code` is undef when the close frame had none, or when
# none came (`clean` is false then). Pings are answered unless the client is `silent`.
sub read_close {
    my ($self, %options) = @_;
    my $until    = time + ($options{timeout} // $TIMEOUT);
    my @messages = splice @{ $self->{backlog} };
    my $frame    = delete $self->{close_frame};
    while (!$frame) {
        my $left = $until - time;
        die "waited in vain for the server to close\n" if $left <= 0;
        my $next = eval { $self->next_frame(timeout => $left) };
        die $@ if $@ && $@ !~ /in the middle of a frame/;
        last unless $next;
        if ($next->{opcode} == 8) { $frame = $next }
        elsif ($next->{opcode} == 9) { $self->send_frame(pong => $next->{payload}) unless $self->{silent} }
        elsif ($next->{opcode} <= 2) {
            push @messages, eval { $self->_decode($next->{payload}) } // { raw => $next->{payload} };
        }
    }
    my %close = (clean => !!$frame, messages => \@messages);
    if ($frame) {
        @close{qw(code reason)} = unpack 'n a*', $frame->{payload} if length $frame->{payload};
        # The peer that gets a close frame answers it; the server then ends the connection (RFC 6455 §7.1.1).
        $self->send_frame(close => substr $frame->{payload}, 0, 2) unless $options{no_answer};
        $self->_read_until(sub { $self->{eof} }, "the connection's end after the close frame", $until - time);
    }
    $close{eof} = $self->{eof};
    return \%close;
}

sub _show_close {
    my ($frame) = @_;
    return 'no code' unless length $frame->{payload};
    my ($code, $reason) = unpack 'n a*', $frame->{payload};
    return "$code '$reason'";
}

# Ends the TCP connection at once: with a FIN, or with an RST when asked to.
sub hang_up {
    my ($self, %how) = @_;
    if ($how{reset}) {
        setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    }
    CORE::close $self->{socket} if $self->{socket};
    delete $self->{socket};
    if (my $child = delete $self->{child}) {
        kill 'TERM', $child;
        waitpid $child, 0;
    }
    return;
}

# Leaves pings unanswered from now on.
sub be_silent { $_[0]{silent} = 1 }

sub DESTROY {
    my ($self) = @_;
    local ($@, $!, $?);
    if (my $child = $self->{child}) { kill 'KILL', $child; waitpid $child, 0 }
}

1;
