# What all doors' listeners have in common: frames in the shape of weft.v1.json, one after the other, and an end.
#
# A door's own class has _advance($seconds): it puts what came into {frames}, and {end} when that is known, waits for at
# most so long, and returns false once there will be nothing more.
package Weft::Door::Listener;
use v5.30;
use warnings;

use Time::HiRes qw(time);

use Weft::Client;

sub door   { $_[0]{door} }
# The worker that serves it: a process id.
sub worker { $_[0]{worker} }
# What `subscribed` said of a channel.
sub subscribed { my ($self, $channel) = @_; return $self->{subscribed}{ $channel // (keys %{ $self->{subscribed} })[0] } }
# Where it stands, as it is handed back to `listen`.
sub position { $_[0]{position} }
# Signs of life that were no frames.
sub heartbeats { $_[0]{heartbeats} // 0 }

# The next frame: {type, payload}; with `quiet`, undef when there is none in time, or will be none.
sub next {
    my ($self, %options) = @_;
    my $until = time + ($options{timeout} // $Weft::Client::TIMEOUT);
    until (@{ $self->{frames} }) {
        my $left = $until - time;
        if (!$self->_advance($left > 0 ? $left : 0) && !@{ $self->{frames} }) {
            return if $options{quiet};
            die 'the end came (' . $self->_show_end . ") while a frame was waited for\n";
        }
        next if @{ $self->{frames} } || $left > 0;
        return if $options{quiet};
        die "waited in vain for a frame\n";
    }
    return shift @{ $self->{frames} };
}

# The next frame of a type; others before it are kept.
sub expect {
    my ($self, $type, %options) = @_;
    my $until = time + ($options{timeout} // $Weft::Client::TIMEOUT);
    my @others;
    while (1) {
        my $left  = $until - time;
        my $frame = eval { $self->next(%options, timeout => $left > 0 ? $left : 0) };
        my $why   = $@;
        if (!$frame || $frame->{type} eq $type) {
            unshift @{ $self->{frames} }, @others;
            die "$type: $why" . (@others ? 'came instead: ' . join(', ', map { $_->{type} } @others) . "\n" : '')
                if !$frame && !$options{quiet};
            return $frame && $frame->{payload};
        }
        push @others, $frame;
    }
}

sub event { my ($self, %options) = @_; return $self->expect('event', %options) }

# The data of the next so many events, frames of other types being left out.
sub data {
    my ($self, $count) = @_;
    return [ map { $self->event->{data} } 1 .. $count ];
}

# Reads up to the end: {code, reason, frames}; no code when nothing was said.
sub ending {
    my ($self, %options) = @_;
    my $until = time + ($options{timeout} // $Weft::Client::TIMEOUT);
    my @frames;
    while (1) {
        push @frames, splice @{ $self->{frames} };
        last if $self->{end};
        my $left = $until - time;
        die "waited in vain for the end\n" if $left <= 0;
        last unless $self->_advance($left);
    }
    push @frames, splice @{ $self->{frames} };
    return { %{ $self->{end} // {} }, frames => \@frames };
}

sub _show_end { my ($self) = @_; return $self->{end} && $self->{end}{code} ? "code $self->{end}{code}" : 'no code' }

# Takes what has come, without waiting for more; what it is stays for next().
sub pump { my ($self) = @_; $self->_advance(0.01); return }

# Whether the server has ended it, as far as is known.
sub ended { my ($self) = @_; $self->_advance(0) unless $self->{end}; return !!$self->{end} }

# Takes notice of a frame.
sub _take {
    my ($self, $frame) = @_;
    my $payload = $frame->{payload};
    $self->{subscribed}{ $payload->{channel} } = $payload if $frame->{type} eq 'subscribed';
    push @{ $self->{frames} }, $frame;
    return;
}

# Where frames say themselves where one stands: a position, or of several channels a position for each.
sub _stand {
    my ($self, $frame) = @_;
    my ($channel, $position) = @{ $frame->{payload} }{qw(channel position)};
    return if $frame->{type} !~ /^(?:event|subscribed)$/ || !defined $position;
    if   (@{ $self->{channels} } == 1) { $self->{position} = $position }
    else                               { $self->{position}{$channel} = $position }
    return;
}

# Waits until it is in all of its channels.
sub _enter {
    my ($self) = @_;
    my $until = time + $Weft::Client::TIMEOUT;
    my @others;
    while (grep { !$self->{subscribed}{$_} } @{ $self->{channels} }) {
        if (my ($error) = grep { $_->{type} eq 'error' } @{ $self->{frames} }) {
            die Weft::Door::Refusal->new(%{ $error->{payload} });
        }
        push @others, splice @{ $self->{frames} };
        my $left = $until - time;
        die "not subscribed in time\n" if $left <= 0;
        my $more = $self->_advance($left);
        die 'the end came (' . $self->_show_end . ") instead of subscribed\n" unless $more || @{ $self->{frames} };
    }
    unshift @{ $self->{frames} }, grep { $_->{type} !~ /^(?:subscribed|connection_established)$/ } @others, splice @{ $self->{frames} };
    return;
}

1;
