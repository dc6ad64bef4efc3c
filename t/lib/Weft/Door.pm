# The doors: every way in which a client listens to channels, behind one face, so that a test says a promise once and has it
# kept by all of them.
#
#     my @doors = Weft::Door->all;
#     my $door  = $doors[0];
#     my $listener = $door->listen($node, channel => 'doors:x', sub => 'ann', at => 'few');
#     $listener->event->{data};
#
# A node of such a test has the locations of locations() and, as $node->{ports}, what ports() gave. How a listener is used
# is said in Weft::Door::Listener.
package Weft::Door;
use v5.30;
use warnings;

use Weft::Client;
use Weft::Door::Listener;
use Weft::Door::Poll;
use Weft::Door::Socket;
use Weft::Door::Stream;

my @DOORS = (
    { key => 'json',     name => 'WebSocket, weft.v1.json',     kind => 'ws',     class => 'Weft::Door::Socket', protocol => 'weft.v1.json' },
    { key => 'protobuf', name => 'WebSocket, weft.v1.protobuf', kind => 'ws',     class => 'Weft::Door::Socket', protocol => 'weft.v1.protobuf' },
    { key => 'rooms',    name => 'WebSocket, rooms.v1.json',    kind => 'ws',     class => 'Weft::Door::Rooms',  protocol => 'rooms.v1.json' },
    { key => 'raw',      name => 'plain WebSocket',             kind => 'raw',    class => 'Weft::Door::Raw' },
    { key => 'sse',      name => 'SSE over HTTP/1.1',           kind => 'sse',    class => 'Weft::Door::Sse',    http => 1 },
    { key => 'sse2',     name => 'SSE over HTTP/2',             kind => 'sse',    class => 'Weft::Door::Sse',    http => 2 },
    { key => 'lines',    name => 'lines over HTTP/1.1',         kind => 'stream', class => 'Weft::Door::Lines',  http => 1 },
    { key => 'lines2',   name => 'lines over HTTP/2',           kind => 'stream', class => 'Weft::Door::Lines',  http => 2 },
    { key => 'poll',     name => 'long-poll over HTTP/1.1',     kind => 'poll',   class => 'Weft::Door::Poll',   http => 1 },
    { key => 'poll2',    name => 'long-poll over HTTP/2',       kind => 'poll',   class => 'Weft::Door::Poll',   http => 2 },
);

# All doors, or those that WEFT_DOORS names ("json,sse2").
sub all {
    my ($class) = @_;
    my %only = map { $_ => 1 } split /,/, $ENV{WEFT_DOORS} // '';
    return map { bless {%$_}, $class } grep { !%only || $only{ $_->{key} } } @DOORS;
}

sub key  { $_[0]{key} }
sub name { $_[0]{name} }
# 1 or 2 for a door that is an HTTP request, whose refusals are HTTP statuses; else undef.
sub http { $_[0]{http} }
sub kind { $_[0]{kind} }

# ---- a node with doors -----------------------------------------------------------------------------------------------

# Ports of a node: of HTTP/2, and of sockets that take little at once. (The first port is the nginx's own.)
sub ports {
    my ($class, $test) = @_;
    return { h2 => $test->port, small => $test->port, small2 => $test->port };
}

# What `listen` has to say of them.
sub listens {
    my ($class, $ports) = @_;
    return [
        "127.0.0.1:$ports->{h2} http2 reuseport",
        "127.0.0.1:$ports->{small} sndbuf=8k",
        "127.0.0.1:$ports->{small2} http2 sndbuf=8k",
    ];
}

# A location for each kind of door and each variant (a name and what is in it besides `$common`): /sse, /sse-few, …
sub locations {
    my ($class, $common, %variants) = @_;
    my %kinds = (
        ws     => sub { 'weft_websocket;' },
        raw    => sub { 'weft_websocket; weft_publish_raw on; weft_subscribe $arg_home $arg_channel $arg_other;' },
        sse    => sub { 'weft_sse;' },
        stream => sub { 'weft_stream;' },
        poll   => sub { 'weft_poll hold=' . ($_[0] eq 'beat' ? '1s' : '20s') . ';' },
    );
    my $text = "        add_header X-Worker \$pid always;\n";
    for my $variant ('', sort keys %variants) {
        for my $kind (sort keys %kinds) {
            my $path = "/$kind" . (length $variant ? "-$variant" : '');
            # A variant may bring its own ticket.
            my $more = $variants{$variant} // '';
            my $ours = $more =~ /weft_ticket/ ? $common =~ s/weft_ticket[^;]*;//r : $common;
            $text .= "        location = $path { @{[ $kinds{$kind}->($variant) ]} $ours $more }\n";
        }
    }
    return $text;
}

# ---- coming in -------------------------------------------------------------------------------------------------------

# A listener that is in its channels. Options: channel => NAME or channels => [NAME, …], position (to resume from), at (a
# variant), port (a name of ports()), ticket (undef for none; else one with the claims sub, jti, …, is made),
# headers, receive_buffer. Dies with a Weft::Door::Refusal when it isn't let in.
sub listen {
    my ($self, $node, %how) = @_;
    my %with = map { $_ => delete $how{$_} } grep { exists $how{$_} }
        qw(channel channels position at port ticket headers receive_buffer path patient);
    $with{channels} //= [ $with{channel} ];
    $with{ticket}   = $node->{test}->ticket(%how) unless exists $with{ticket};
    $with{path}     //= "/$self->{kind}" . (defined $with{at} ? "-$with{at}" : '');
    my $ports = $node->{ports};
    my $port  = $with{port} // '';
    $with{port} =
          $port eq 'small' ? ($self->{http} // 1) == 2 ? $ports->{small2} : $ports->{small}
        : ($self->{http} // 1) == 2 ? $ports->{h2}
        :                             $node->port;
    return $self->{class}->new(%with, door => $self, test => $node->{test});
}

# The refusal of one who must not come in; dies when they do.
sub refusal {
    my ($self, $node, %how) = @_;
    my $listener = eval { $self->listen($node, %how, patient => 1) };
    my $why = $@;
    return $why if ref $why && $why->isa('Weft::Door::Refusal');
    die $why unless $listener;
    $listener->cut;
    die "it is let in\n";
}

# {code, message, retry_after_ms, status (of HTTP)}
package Weft::Door::Refusal;
use v5.30;
use warnings;

use overload '""' => sub { my ($self) = @_; "refused: $self->{code}, " . ($self->{message} // '') . "\n" }, fallback => 1;

sub new { my ($class, %self) = @_; return bless \%self, $class }

1;
