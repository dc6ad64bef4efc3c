# Listeners over WebSocket: weft.v1.json and weft.v1.protobuf, rooms.v1.json, and plain ones that the server puts into
# their channels.
package Weft::Door::Socket;
use v5.30;
use warnings;

use parent 'Weft::Door::Listener';

use JSON::PP ();

use Weft::Client;

my $json = JSON::PP->new->utf8->allow_nonref;

sub new {
    my ($class, %how) = @_;
    my $self = bless { %how{qw(door channels)}, frames => [], subscribed => {} }, $class;
    my %headers = @{ $how{headers} // [] };
    my $origin  = delete $headers{Origin};
    my $client = eval {
        Weft::Client->open(
            port => $how{port}, path => $self->_path(%how), protocols => $how{door}{protocol} // '', headers => [%headers],
            defined $origin ? (origin => $origin) : (),
            defined $how{ticket} ? (ticket => $how{ticket}) : (),
            $how{receive_buffer} ? (receive_buffer => $how{receive_buffer}) : ());
    };
    if (!$client) {
        # An origin is refused before the upgrade.
        my ($status) = $@ =~ m{answered with: HTTP/1\.1 (\d+)} or die $@;
        my ($code)   = $@ =~ /"code":(\d+)/;
        die Weft::Door::Refusal->new(status => $status, code => $code // ($status == 403 ? 4003 : 0), message => $@);
    }
    $self->{client} = $client;
    ($self->{worker}) = $client->answer =~ /^X-Worker: (\d+)/mi;
    $self->_await_greeting;
    $self->_say_where($how{position});
    $self->_enter;
    return $self;
}

sub _path { my ($self, %how) = @_; return $how{path} }

sub client { $_[0]{client} }

sub _await_greeting {
    my ($self) = @_;
    my $first = $self->{client}->next_message;
    return if $first->{type} eq 'connection_established';
    die "the first frame is: $first->{raw}\n" if $first->{type} ne 'error';
    my $close = $self->{client}->read_close;
    die "the error is $first->{payload}{code}, and the end $close->{code}\n" if $close->{code} != $first->{payload}{code};
    die Weft::Door::Refusal->new(%{ $first->{payload} });
}

sub _say_where {
    my ($self, $position) = @_;
    for my $channel (@{ $self->{channels} }) {
        $self->{client}->send_json({ type => 'subscribe', id => 'in',
            payload => { channel => $channel, _where($position, $channel) } });
    }
    return;
}

# A position is of one channel; of several it is a position for each.
sub _where {
    my ($position, $channel) = @_;
    $position = $position->{$channel} if ref $position;
    return defined $position ? (position => $position) : ();
}

sub _advance {
    my ($self, $seconds) = @_;
    my $client = $self->{client};
    return 0 if $self->{end};
    my $message = $client->next_message(timeout => $seconds, quiet => 1);
    if ($message) {
        my $frame = $self->_translate($message) or return 1;
        $self->_stand($frame);
        $self->_take($frame);
        return 1;
    }
    if ($client->{close_frame}) {
        my $close = $client->read_close;
        $self->{end} = { code => $close->{code}, reason => $close->{reason} };
    }
    elsif ($client->eof) { $self->{end} = {} }
    return !$self->{end};
}

sub _translate { my ($self, $message) = @_; return $message }

sub cut { my ($self, %how) = @_; $self->{client}->hang_up(%how); $self->{end} //= {}; return }

# Leaves politely.
sub leave { my ($self) = @_; $self->{client}->close(1000); $self->{client}->read_close(no_answer => 1); $self->{end} //= {}; $self->{client}->hang_up; return }

# ---- rooms.v1.json ---------------------------------------------------------------------------------------------------

package Weft::Door::Rooms;
use v5.30;
use warnings;

our @ISA = ('Weft::Door::Socket');

sub _say_where {
    my ($self, $position) = @_;
    for my $channel (@{ $self->{channels} }) {
        $self->{client}->send_json({ type => 'join_room',
            payload => { room_id => $channel, Weft::Door::Socket::_where($position, $channel) } });
    }
    return;
}

my %TYPE = (room_joined => 'subscribed', chat_message => 'event', room_left => 'unsubscribed');

sub _translate {
    my ($self, $message) = @_;
    my ($type, %payload) = ($message->{type}, %{ $message->{payload} // {} });
    $payload{channel} = delete $payload{room_id} if exists $payload{room_id};
    $payload{data}      = delete $payload{message}                   if $type eq 'chat_message';
    $payload{publisher} = { user => delete $payload{sender_id} }     if exists $payload{sender_id};
    $payload{member}    = { user => $payload{user_id} }              if $type eq 'presence_update';
    if ($type =~ /^typing_/) { @payload{qw(name publisher)} = ($type, { user => $payload{user_id} }) }
    my $is =
          $type eq 'presence_update' ? { online => 'join', offline => 'leave' }->{ $payload{status} } // 'signal'
        : $type =~ /^typing_/        ? 'signal'
        :                              $TYPE{$type} // $type;
    return { type => $is, payload => \%payload };
}

# ---- plain clients ---------------------------------------------------------------------------------------------------

# It is in a channel of its own besides, where it says something at once: when that comes back, it is in all of its channels.
package Weft::Door::Raw;
use v5.30;
use warnings;

use Encode qw(decode_utf8);

our @ISA = ('Weft::Door::Socket');

my $homes = 0;

sub _path {
    my ($self, %how) = @_;
    $self->{home} = 'doors:home-' . $$ . '-' . ++$homes;
    my ($one, $other) = @{ $how{channels} };
    return "$how{path}?home=$self->{home}" . (defined $one ? "&channel=$one" : '') . (defined $other ? "&other=$other" : '');
}

sub _await_greeting { return }

sub _say_where { my ($self) = @_; $self->{client}->send_text($self->{home}); return }

sub _advance {
    my ($self, $seconds) = @_;
    my $client = $self->{client};
    return 0 if $self->{end};
    my $text = $client->next_text(timeout => $seconds, quiet => 1);
    if (defined $text) {
        if ($text eq $self->{home}) {
            $self->{subscribed}{$_} //= { channel => $_ } for @{ $self->{channels} };
            return 1;
        }
        my $data = eval { $json->decode($text) };
        my $is_frame = ref $data eq 'HASH' && ($data->{type} // '') =~ /^(?:error|gap|reconnect|unsubscribed)$/ && ref $data->{payload};
        return 1 if $is_frame && ($data->{payload}{channel} // '') eq $self->{home};
        $text = decode_utf8($text);
        $self->_take($is_frame ? $data : { type => 'event', payload => { data => $data // $text } });
        return 1;
    }
    if ($client->{close_frame}) {
        my $close = $client->read_close;
        $self->{end} = { code => $close->{code}, reason => $close->{reason} };
    }
    elsif ($client->eof) { $self->{end} = {} }
    return !$self->{end};
}

# Tickets are refused as they are with every WebSocket: an error, then the close frame of its code.
sub _enter {
    my ($self) = @_;
    return if eval { $self->SUPER::_enter; 1 };
    my $why = $@;
    if (ref $why && $why->isa('Weft::Door::Refusal')) {
        my $end = $self->ending;
        die "the error is $why->{code}, and the end " . ($end->{code} // 'without one') . "\n" if ($end->{code} // 0) != $why->{code};
    }
    die $why;
}

1;
