# Listeners whose answer goes on and on: server-sent events, and lines of JSON.
package Weft::Door::Stream;
use v5.30;
use warnings;

use parent 'Weft::Door::Listener';

use JSON::PP ();

use Weft::Door::Http;

our $json = JSON::PP->new->utf8->allow_nonref;

sub new {
    my ($class, %how) = @_;
    my $self = bless { %how{qw(door channels)}, frames => [], subscribed => {} }, $class;
    my $wire = Weft::Door::Http->begin(
        version => $how{door}{http}, port => $how{port}, path => $how{path} . Weft::Door::Http::query(@{ $how{channels} }) . $self->_place($how{position}),
        headers => [ Weft::Door::Http::credentials($how{ticket}), $self->_headers($how{position}), @{ $how{headers} // [] } ],
        $how{receive_buffer} ? (receive_buffer => $how{receive_buffer}) : ());
    my $head = $self->{head} = Weft::Door::Http::await_head($wire);
    die "HTTP/$head->{version} was spoken\n" if $head->{version} != ($how{door}{http} == 2 ? 2 : 1.1);
    die Weft::Door::Http::refusal($wire, $head) if $head->{status} != 200;
    $self->_check_head($head);
    $self->{wire}   = $wire;
    $self->{worker} = $head->{headers}{'x-worker'};
    $self->_enter;
    return $self;
}

# What of the position goes into the query, and what into headers.
sub _place   { return '' }
sub _headers { return }

sub head { $_[0]{head} }
sub wire { $_[0]{wire} }

sub _check_head {
    my ($self, $head) = @_;
    my $type = $head->{headers}{'content-type'} // 'nothing';
    die "the content type is $type\n" if $type ne $self->_content_type;
    die "it may be kept in caches\n" if ($head->{headers}{'cache-control'} // '') !~ /no-store/;
    die "a stream has a length\n" if defined $head->{headers}{'content-length'};
    return;
}

sub _advance {
    my ($self, $seconds) = @_;
    return 0 if $self->{end} && $self->{wire}{eof};
    return 1 if $self->_lines;    # what came behind the head
    my $got = $self->{wire}->_fill($seconds);
    return 1 if $self->_lines || $got;
    die "the stream ends in the middle of a line: $self->{wire}{in}\n" if length $self->{wire}{in} && $self->{end};
    $self->{end} //= {};
    return 0;
}

# Takes the lines that have come; false if there are none.
sub _lines {
    my ($self) = @_;
    my $lines = 0;
    while ($self->{wire}{in} =~ s/^([^\n]*)\n//) { $self->_line($1); ++$lines }
    return $lines;
}

sub _frame {
    my ($self, $text) = @_;
    my $frame = eval { $json->decode($text) } or die "no JSON: $text\n";
    if ($frame->{type} eq 'close') {
        $self->{end} = $frame->{payload};
        return;
    }
    die "a frame comes behind the end: $text\n" if $self->{end};
    $self->_take($frame);
    return $frame;
}

# Reads on until the server has ended the answer, too.
sub ending {
    my ($self, %options) = @_;
    my $end = $self->SUPER::ending(%options);
    $self->{wire}->_read_until(sub { $self->{wire}{eof} }, "the connection's end");
    return $end;
}

sub cut {
    my ($self, %how) = @_;
    $self->{wire}->hang_up($self->{door}{http} == 2 ? () : %how);
    $self->{end} //= {};
    return;
}

package Weft::Door::Sse;
use v5.30;
use warnings;

our @ISA = ('Weft::Door::Stream');

sub _content_type { return 'text/event-stream' }

# As an EventSource does when it comes back.
sub _headers { my ($self, $position) = @_; return defined $position ? ('Last-Event-ID' => $position) : () }

# HTML Standard, "Interpreting an event stream".
sub _line {
    my ($self, $line) = @_;
    $line =~ s/\r$//;
    my $event = $self->{event} //= {};
    if ($line eq '') {
        $self->{position} = $event->{id} if defined $event->{id};
        undef $self->{event};
        return $self->_dispatch($event) if defined $event->{data};
        die "an event without data\n" if defined $event->{name};
        return;
    }
    return ++$self->{heartbeats} if $line =~ /^:/;
    my ($field, $value) = split /: ?/, $line, 2;
    if    ($field eq 'data')  { $event->{data} = defined $event->{data} ? "$event->{data}\n$value" : $value }
    elsif ($field eq 'event') { $event->{name} = $value }
    elsif ($field eq 'id')    { $event->{id}   = $value }
    elsif ($field eq 'retry') { die "retry: $value\n" if $value !~ /^\d+$/; $self->{retry} = $value }
    else                      { die "an unknown field: $line\n" }
    return;
}

sub _dispatch {
    my ($self, $event) = @_;
    my $type = ($Weft::Door::Stream::json->decode($event->{data}))->{type};
    my $name = $type eq 'event' ? undef : $type eq 'error' ? 'weft-error' : $type;
    die "the event of a frame $type is called " . ($event->{name} // 'nothing') . "\n" if ($event->{name} // '') ne ($name // '');
    return $self->_frame($event->{data});
}

# Milliseconds after which an EventSource comes back.
sub retry { $_[0]{retry} }

package Weft::Door::Lines;
use v5.30;
use warnings;

our @ISA = ('Weft::Door::Stream');

sub _content_type { return 'application/x-ndjson' }

sub _place {
    my ($self, $position) = @_;
    return '' unless defined $position;
    return '&position=' . (ref $position ? join ',', map {"$_=$position->{$_}"} sort keys %$position : $position);
}

sub _line {
    my ($self, $line) = @_;
    return ++$self->{heartbeats} if $line eq '';
    my $frame = $self->_frame($line) or return;
    return $self->_stand($frame);
}

1;
