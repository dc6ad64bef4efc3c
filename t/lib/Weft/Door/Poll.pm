# A listener that asks, is answered, and asks again from where it stands. A poll is always held, as long as nothing ends it.
package Weft::Door::Poll;
use v5.30;
use warnings;

use parent 'Weft::Door::Listener';

use JSON::PP ();
use Time::HiRes qw(time);

use Weft::Door::Http;

my $json = JSON::PP->new->utf8;

sub new {
    my ($class, %how) = @_;
    my $self = bless { %how{qw(door channels position path port ticket headers)}, frames => [], subscribed => {} }, $class;
    $self->_ask;
    # One who says where they stand is answered when there is news, and else after a while, without a body.
    if (defined $how{position}) { $self->_settle($how{patient}) }
    else                        { $self->_enter }
    return $self;
}

# A refusal comes soon; who isn't refused has entered. One who is patient waits for the answer, whatever it is.
sub _settle {
    my ($self, $patient) = @_;
    my $until = time + ($patient ? $Weft::Client::TIMEOUT : 0.3);
    while (!defined $self->{worker} && time < $until) { $self->_advance(0.1) || last }
    $self->{subscribed}{$_} //= { channel => $_, recovered => JSON::PP::true, position => $self->{position} } for @{ $self->{channels} };
    return;
}

sub _ask {
    my ($self) = @_;
    my $version = $self->{door}{http};
    my $place   = defined $self->{position} ? '&position=' . $self->{position} : '';
    my %how     = (
        version => $version, port => $self->{port}, path => $self->{path} . Weft::Door::Http::query(@{ $self->{channels} }) . $place,
        headers => [ Weft::Door::Http::credentials($self->{ticket}), @{ $self->{headers} // [] } ]);
    $self->{asking} = Weft::Door::Http->begin(%how, $version == 1 && $self->{wire} ? (wire => $self->{wire}) : ());
    $self->{asked_again} = !!$self->{wire};
    undef $self->{wire};
    undef $self->{head};
    return;
}

sub _advance {
    my ($self, $seconds) = @_;
    return 0 if $self->{end};
    $self->_ask unless $self->{asking};
    my $wire = $self->{asking};
    my $body = $self->_body;
    my $got  = 1;
    if (!defined $body) {
        $got  = $wire->_fill($seconds);
        $body = $self->_body;
    }
    if (defined $body) {
        undef $self->{asking};
        if ($self->{door}{http} == 1) { $self->{wire} = $wire unless $wire->{eof} || ($self->{head}{headers}{connection} // '') eq 'close' }
        else                          { $wire->hang_up }
        $self->_answered($self->{head}, $body);
        $self->_ask unless $self->{end};
        return !$self->{end};
    }
    return 1 if $got;
    my $began = $self->{head} || length $wire->{in};
    die "the answer is cut\n" if $began;
    # Connections that are kept alive may be closed at any time before an answer: one asks again.
    if ($self->{asked_again}) { undef $self->{asking}; return 1 }
    $self->{end} = {};
    return 0;
}

# The answer's body, once it is whole.
sub _body {
    my ($self) = @_;
    $self->{head} //= Weft::Door::Http::head($self->{asking});
    return $self->{head} && Weft::Door::Http::whole_body($self->{asking}, $self->{head});
}

sub _answered {
    my ($self, $head, $body) = @_;
    $self->{worker} = $head->{headers}{'x-worker'};
    if ($head->{status} == 204) {
        $self->{position} = $head->{headers}{'weft-position'} // die "a 204 without Weft-Position\n";
        ++$self->{heartbeats};
        return;
    }
    if ($head->{status} != 200) {
        my $said = eval { $json->decode($body) } or die "status $head->{status}, and no JSON: $body\n";
        die "a refusal without code, reason or message: $body\n" if grep { !length($said->{$_} // '') } qw(code reason message);
        my $refusal = Weft::Door::Refusal->new(%$said, status => $head->{status}, headers => $head->{headers});
        die $refusal unless %{ $self->{subscribed} };
        $self->{end} = { code => $said->{code}, reason => $said->{reason}, refused => $refusal };
        return;
    }
    die 'the content type is ' . $head->{headers}{'content-type'} . "\n" if $head->{headers}{'content-type'} ne 'application/json';
    my $answer = $json->decode($body);
    die "no frames: $body\n" unless @{ $answer->{frames} };
    die "two positions: $answer->{position} and $head->{headers}{'weft-position'}\n"
        if $answer->{position} ne ($head->{headers}{'weft-position'} // '');
    $self->{position} = $answer->{position};
    for my $frame (@{ $answer->{frames} }) {
        if ($frame->{type} eq 'close') { $self->{end} = $frame->{payload} }
        else                           { $self->_take($frame) }
    }
    return;
}

sub cut {
    my ($self, %how) = @_;
    for my $wire (grep { $_ } delete @$self{qw(asking wire)}) { $wire->hang_up($self->{door}{http} == 2 ? () : %how) }
    $self->{end} //= {};
    return;
}

1;
